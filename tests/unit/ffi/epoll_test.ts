import assert from "node:assert/strict";
import {
  close,
  epollAdd,
  epollCreate,
  EPOLLIN,
  epollModify,
  EPOLLOUT,
  epollRemove,
  epollWaitAsync,
  pipe,
  read,
  write,
} from "../../../ffi/linux.ts";
import { EPOLLHUP } from "../../support/kernel.ts";

Deno.test("epoll reports which descriptors are ready, also those added while it waits", async () => {
  const epoll = epollCreate();
  const [reader, writer] = pipe();
  try {
    assert.deepEqual(await epollWaitAsync(epoll, 0), []);
    const waiting = epollWaitAsync(epoll, 5000);
    epollAdd(epoll, reader, EPOLLIN);
    write(writer, new Uint8Array([1]));
    assert.deepEqual(await waiting, [{ fd: reader, events: EPOLLIN }]);
    read(reader, new Uint8Array(1));
    assert.deepEqual(await epollWaitAsync(epoll, 0), []);

    epollAdd(epoll, writer, 0);
    assert.deepEqual(await epollWaitAsync(epoll, 0), []);
    epollModify(epoll, writer, EPOLLOUT);
    assert.deepEqual(await epollWaitAsync(epoll, 5000), [{ fd: writer, events: EPOLLOUT }]);
    epollRemove(epoll, writer);
    assert.throws(() => epollRemove(epoll, writer), { code: "ENOENT" });
  } finally {
    close(writer);
    assert.deepEqual(await epollWaitAsync(epoll, 5000), [{ fd: reader, events: EPOLLHUP }]);
    close(reader);
    close(epoll);
  }
});

Deno.test("a failed epoll wait says why", async () => {
  const [reader, writer] = pipe();
  await assert.rejects(() => epollWaitAsync(reader, 0), { code: "EINVAL" });
  close(reader);
  close(writer);
});
