/**
 * One end of a TCP transfer: `serve ADDRESS` sends back what it receives, `check ADDRESS BYTES` has
 * a server send back that much and compares.
 */
const [role, hostname, size] = Deno.args;
const port = 7000;

if (role === "serve") {
  const listener = Deno.listen({ hostname, port });
  console.log("listening");
  for await (const connection of listener) {
    connection.readable.pipeTo(connection.writable).catch(() => {});
  }
} else {
  const sent = new Uint8Array(Number(size));
  // Noise that repeats with no power of two: a segment in another's place is noticed.
  for (let i = 0, state = 1; i < sent.length; i++) {
    state = (state * 48271) % 0x7fffffff;
    sent[i] = state;
  }
  const connection = await Deno.connect({ hostname: hostname!, port });
  const writing = new Blob([sent]).stream()
    .pipeTo(connection.writable, { preventClose: true })
    .then(() => connection.closeWrite());
  const received = new Uint8Array(await new Response(connection.readable).arrayBuffer());
  await writing;
  const same = received.length === sent.length && received.every((byte, i) => byte === sent[i]);
  console.log(same ? "same" : `different: ${received.length} of ${sent.length} bytes`);
}
