/** Images of Debian's packages: ordinary programs, which know nothing of this runtime. */
import { cacheDirectory } from "./cache.ts";
import { run } from "./process.ts";

/** Programs, and all that these are linked with; no package's own scripts run. */
const PACKAGES = [
  ...["redis-server", "redis-tools", "nginx", "nginx-common", "python3.13-minimal"],
  ...["libpython3.13-minimal", "busybox-static", "base-files", "libc6", "libgcc-s1", "libstdc++6"],
  ...["libatomic1", "libjemalloc2", "liblzf1", "libssl3t64", "openssl-provider-legacy"],
  ...["libsystemd0", "libcap2", "libzstd1", "libcrypt1", "libpcre2-8-0", "zlib1g", "libexpat1"],
];

const SCRIPT = `
cd "$1"
mkdir archives tree
(cd archives && apt-get -q download $2)
for name in bin sbin lib lib64; do
  mkdir -p tree/usr/$name && ln -s usr/$name tree/$name
done
for archive in archives/*.deb; do dpkg-deb -x "$archive" tree; done
for name in sh cat cp date echo grep id ls mkdir mount mv rm sleep sort stat touch wget; do
  ln -sf busybox tree/usr/bin/$name
done
printf 'root:x:0:0::/root:/bin/sh\\nservice:x:1000:1000::/:/bin/sh\\n' >tree/etc/passwd
printf 'root:x:0:\\nservice:x:1000:\\n' >tree/etc/group
tar --create --file image.tar --owner=0 --group=0 --numeric-owner \\
  --exclude ./usr/share/doc --exclude ./usr/share/man --directory tree .
rm -r archives tree`;

/**
 * The layer of an image with redis-server, nginx, python3.13 and busybox, fetched with `apt-get download`
 * and kept between runs in the tests' cache.
 *
 * @returns the path of its tar file
 */
export async function debianServices(): Promise<string> {
  const cache = await cacheDirectory("images");
  const directory = `${cache}/services-1`;
  if (await exists(directory)) return `${directory}/image.tar`;
  const work = await Deno.makeTempDir({ dir: cache, prefix: "work-" });
  try {
    // The sandbox user that apt fetches as must be able to write.
    await Deno.chmod(work, 0o777);
    await run(["sh", "-ec", SCRIPT, "sh", work, PACKAGES.join(" ")], {
      timeoutSeconds: 300,
      check: true,
    });
    await Deno.rename(work, directory).catch(async (error) => {
      if (!await exists(directory)) throw error;
    });
  } finally {
    if (await exists(work)) await Deno.remove(work, { recursive: true });
  }
  return `${directory}/image.tar`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
