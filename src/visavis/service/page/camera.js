// Takes a photo with the camera; it is on only while the dialog is open.

import { $ } from "./dom.js";

export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

export async function takePhoto() {
  const dialog = $("camera");
  const video = dialog.querySelector("video");
  const take = dialog.querySelector("[value=take]");
  const problem = dialog.querySelector("[role=alert]");
  take.disabled = true;
  problem.hidden = true;
  dialog.returnValue = "";
  dialog.showModal();
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } }, audio: false });
    video.srcObject = stream;
    await video.play();
    take.disabled = false;
  } catch {
    problem.textContent = "The camera cannot be used. Allow it for this page, or choose a file.";
    problem.hidden = false;
  }
  await closed;
  const photo = stream && dialog.returnValue === "take" ? await frameOf(video) : null;
  stream?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  return photo;
}

function frameOf(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}
