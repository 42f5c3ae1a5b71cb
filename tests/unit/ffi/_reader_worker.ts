import { read } from "../../../ffi/linux.ts";

/** Reads a descriptor in a thread of its own, with this thread's own errno. */
globalThis.addEventListener("message", (event) => {
  const { fd, size } = (event as MessageEvent<{ fd: number; size: number }>).data;
  const data = new Uint8Array(size);
  for (let done = 0; done < size;) done += read(fd, data.subarray(done));
  (globalThis as unknown as Worker).postMessage(data);
});
