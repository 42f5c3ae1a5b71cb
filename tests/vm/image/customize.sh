#!/bin/sh
# Makes a Debian tree into a node. $1: the tree; $2: files to put over it.
set -eu
umask 022
root=$1
cp -R "$2/." "$root"
# Whatever the modes of this checkout.
(cd "$2" && find . -mindepth 1) | while read -r path; do chmod go+rX "$root/$path"; done
echo node >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 node\n' >"$root/etc/hosts"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/resolv.conf"
mkdir -p "$root/var/log/journal" "$root/urunc" "$root/var/cache/deno"
ln -s /urunc/dist/urunc /urunc/.node/bin/deno "$root/usr/local/bin/"
ln -s /urunc/.node/deno/npm "$root/var/cache/deno/npm"
# systemd's first-boot chores, done here: nothing is new to it.
touch "$root/etc/.updated" "$root/var/.updated"
# Profiles of programs that no node of containers has: loading them takes longer than all the rest.
find "$root/etc/apparmor.d" -maxdepth 1 -type f ! -name runc ! -name crun ! -name busybox \
  ! -name buildah ! -name slirp4netns ! -name unprivileged_userns -delete
# Over ssh as root, with a key of the boot; passwords do not exist.
systemctl --root="$root" enable ssh.service systemd-networkd.service \
  urunc-payload.service urunc-kvm-group.service urunc-ready.service urunc-capture.service
systemctl --root="$root" mask getty@tty1.service serial-getty@ttyS0.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service \
  systemd-timesyncd.service
