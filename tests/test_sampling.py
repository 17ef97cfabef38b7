"""Image pyramid and bilinear crops, by hand."""

import numpy as np

from visavis.faces.sampling import area_resize, crop_boxes, integral_image, normalise


def test_a_photo_is_normalised_about_middle_grey():
    photo = np.array([[[0, 127, 255]]], np.uint8)
    np.testing.assert_allclose(normalise(photo).ravel(), [-0.99609375, -0.00390625, 0.99609375])


def test_area_resize_takes_the_mean_of_the_area_that_a_pixel_covers():
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 6)
    integral = integral_image(image)
    np.testing.assert_allclose(area_resize(integral, 1, 3), [[[3.5, 5.5, 7.5]]])
    # Four pixels of 1.5: (0 + 1 / 2) / 1.5, (1 / 2 + 2) / 1.5, ...
    np.testing.assert_allclose(area_resize(integral, 2, 4)[0, 0], [1 / 3, 5 / 3, 10 / 3, 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(area_resize(integral, 2, 6), image)


def test_crops_are_interpolated_and_grey_outside_of_the_photo():
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    boxes = np.array([[0.0, 0, 2, 2], [0.5, 0.5, 1.5, 1.5], [-1, 0, 1, 2]])
    whole, inner, beyond = crop_boxes(image, 1.5 * boxes, 3)[:, 0]  # positions are scaled by (length - 1) / length
    np.testing.assert_allclose(whole, image[0])
    np.testing.assert_allclose(inner, [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]])
    np.testing.assert_allclose(beyond, [[0, 0, 1], [0, 3, 4], [0, 6, 7]])
