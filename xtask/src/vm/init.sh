#!/bin/sh
# The first process of the machine: the host's root, writable here only, then the command.
export PATH=/bin
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /mod/*.ko; do insmod "$module" || echo "vm: insmod $module failed"; done
die() {
    echo "vm: $*"
    poweroff -f
}
mount -t virtiofs -o ro root /lower || die "the host's root is not there"
mount -t tmpfs -o mode=755 tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work overlay /new ||
    die "no overlay over the host's root"
cd /new || die "no root"
mkdir -p vmout vmctl proc sys dev run tmp
mount -t virtiofs out vmout
mount -t virtiofs ctl vmctl || die "no command"
mount --move /proc proc
mount --move /sys sys
mount --move /dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs run run
ln -sf /proc/self/fd dev/fd
ln -sf /proc/self/fd/0 dev/stdin
ln -sf /proc/self/fd/1 dev/stdout
ln -sf /proc/self/fd/2 dev/stderr
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount -t debugfs debugfs sys/kernel/debug
mount -t tracefs tracefs sys/kernel/tracing
mount -t securityfs securityfs sys/kernel/security
hostname vm
ifconfig lo 127.0.0.1 up
# Modules of this kernel, not of the host's.
release=$(uname -r)
mkdir -p "usr/lib/modules/$release"
mount --bind ".$(cat vmctl/modules)" "usr/lib/modules/$release"
port=
for candidate in sys/class/virtio-ports/*; do
    [ "$(cat "$candidate/name" 2>/dev/null)" = output ] && port=dev/${candidate##*/}
done
[ -n "$port" ] || die "no way out for the output"
chroot . /bin/bash /vmctl/command </dev/null >"$port" 2>&1
echo $? >vmctl/code
sync
poweroff -f
