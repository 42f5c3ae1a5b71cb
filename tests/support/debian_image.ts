/** Images of Debian's packages: ordinary programs, which know nothing of this runtime. */
import { cacheDirectory } from "./cache.ts";
import { run } from "./process.ts";

/** What all of them are linked with, and what a shell script needs. */
const BASE = [
  ...["busybox-static", "base-files", "libc6", "libgcc-s1", "libstdc++6", "libssl3t64"],
  ...["openssl-provider-legacy", "libsystemd0", "libcap2", "libzstd1", "libpcre2-8-0", "zlib1g"],
];

/** Programs, and all that these are linked with; no package's own scripts run. */
const SERVICES = [
  ...BASE,
  ...["redis-server", "redis-tools", "nginx", "nginx-common", "python3.13-minimal"],
  ...["libpython3.13-minimal", "libpython3.13-stdlib", "libsqlite3-0", "libexpat1"],
  ...["libatomic1", "libjemalloc2", "liblzf1", "libcrypt1"],
];

/** Of initdb, postgres, psql and pgbench. */
const POSTGRES = [
  ...BASE,
  ...["postgresql-17", "postgresql-client-17", "libpq5", "tzdata", "libicu76", "libxml2"],
  ...["liblzma5", "liblz4-1", "libxxhash0", "libreadline8t64", "libtinfo6", "libselinux1"],
  ...["libpam0g", "libaudit1", "libcap-ng0", "libldap2", "libsasl2-2", "libgssapi-krb5-2"],
  ...["libkrb5-3", "libk5crypto3", "libkrb5support0", "libcom-err2", "libkeyutils1"],
];

const SCRIPT = `
cd "$1"
mkdir archives tree
(cd archives && apt-get -q download $2)
for name in bin sbin lib lib64; do
  mkdir -p tree/usr/$name && ln -s usr/$name tree/$name
done
for archive in archives/*.deb; do dpkg-deb -x "$archive" tree; done
for name in sh cat chmod cp date echo grep id ls md5sum mkdir mount mv rm sleep sort stat touch wget; do
  ln -sf busybox tree/usr/bin/$name
done
printf 'root:x:0:0::/root:/bin/sh\\nservice:x:1000:1000::/:/bin/sh\\n' >tree/etc/passwd
printf 'root:x:0:\\nservice:x:1000:\\n' >tree/etc/group
eval "$3"
tar --create --file image.tar --owner=0 --group=0 --numeric-owner \\
  --exclude ./usr/share/doc --exclude ./usr/share/man --exclude ./usr/share/locale \\
  --exclude bitcode --exclude 'llvmjit*' --directory tree .
rm -r archives tree`;

/** A database of an earlier life, which anybody can read: to make one takes a guest without KVM minutes. */
const INITDB = `
mkdir -m 777 tree/cluster
mknod -m 666 tree/dev/null c 1 3
chroot --userspec 1000:1000 tree /usr/lib/postgresql/17/bin/initdb -D /cluster/db -A trust \\
  -U service --locale=C -E UTF8 --no-sync >/dev/null
rm tree/dev/null
chmod -R a+rX tree/cluster`;

/**
 * The layer of an image with redis-server, nginx, python3.13 and busybox, fetched with `apt-get download`
 * and kept between runs in the tests' cache.
 *
 * @returns the path of its tar file
 */
export function debianServices(): Promise<string> {
  return debianLayer("services-3", SERVICES);
}

/** The same with PostgreSQL, an empty database at `/cluster/db`, and busybox. */
export function debianPostgres(): Promise<string> {
  return debianLayer("postgres-2", POSTGRES, INITDB);
}

/** @param script of sh, run when the packages are in `tree` */
async function debianLayer(name: string, packages: string[], script = ""): Promise<string> {
  const cache = await cacheDirectory("images");
  const directory = `${cache}/${name}`;
  if (await exists(directory)) return `${directory}/image.tar`;
  const work = await Deno.makeTempDir({ dir: cache, prefix: "work-" });
  try {
    // The sandbox user that apt fetches as must be able to write.
    await Deno.chmod(work, 0o777);
    await run(["sh", "-ec", SCRIPT, "sh", work, packages.join(" "), script], {
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
