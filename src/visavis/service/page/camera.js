// Takes a photo with the camera, which is on only while the dialog is open.

import { openDialog } from "./dialog.js";

export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

// Returns a JPEG file, or null if the dialog was cancelled.
export async function takePhoto() {
  const { dialog, closed } = openDialog("camera-template");
  const video = dialog.querySelector("video");
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } }, audio: false });
    video.srcObject = stream;
    await video.play();
    dialog.querySelector("[value=take]").disabled = false;
  } catch {
    const problem = dialog.querySelector("[role=alert]");
    problem.textContent = "The camera cannot be used. Allow it for this page, or choose a file.";
    problem.hidden = false;
  }
  const file = (await closed) === "take" ? await captureFrame(video) : null;
  stream?.getTracks().forEach((track) => track.stop());
  return file;
}

async function captureFrame(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return new File([blob], "camera.jpg", { type: blob.type });
}
