/** Gives a file to the browser to be kept, as a link would; unlike a link it can carry a key. */
export function saveFile(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // Later: a browser may begin to read only after the click is handled.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
