// Pictures of a data set as canvases.

/** Pixels (C,H,W), 0 to 255, grey or in colours. */
export function canvasOf(pixels, [channels, height, width]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  const area = height * width;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i + (channels === 3 ? c * area : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Picture `index` of `{ images }`, each of this shape. */
export function pixelsOf({ images }, index, shape) {
  const size = shape.reduce((a, b) => a * b);
  return images.subarray(index * size, (index + 1) * size);
}
