# Runs a command as root of a sandbox with a range of user ids, with the programs of the distribution where they expect to be.
busybox() { "$distribution/usr/bin/busybox" "$@"; }
busybox mkdir /usr
busybox mount -o bind "$distribution/usr" /usr
for name in bin sbin lib lib64; do [ -e /$name ] || busybox ln -s usr/$name /$name; done
busybox mkdir /build/bin
busybox ln -s "$tandem" /build/bin/tandem
export PATH=/build/bin:/usr/bin:/usr/sbin
eval "$command"
