# Runs a command as an ordinary build user, who can put nothing where programs look for it. Programs of nixpkgs know where in the store their
# libraries are; those of the distribution have to be told.
busybox() { "$distribution/usr/bin/busybox" "$@"; }
libraries=$(echo "$distribution"/usr/lib/*-linux-gnu)
loader=$(echo "$libraries"/ld-linux*.so.*)
busybox mkdir /build/bin
program() {
    name=$1 file=$2
    shift 2
    echo "#!/bin/sh
exec $loader --argv0 $name --library-path $libraries $file $* \"\$@\"" >/build/bin/$name
    busybox chmod +x /build/bin/$name
}
for name in bash cat chmod cp env mkdir mktemp qemu-img readlink; do program $name "$distribution/usr/bin/$name"; done
program mke2fs "$distribution/usr/sbin/mke2fs"
program tandem "$tandem"
program nixos-test-driver "$tandem"
for file in "$distribution"/usr/bin/qemu-system-*; do
    program "${file##*/}" "$file" -L "$distribution/usr/share/qemu" -L "$distribution/usr/share/seabios" -L "$distribution/usr/lib/ipxe/qemu"
done
# By this name it finds its own library.
program python3 "$distribution/usr/bin/python3"
busybox sed -i "s|--argv0 python3|--argv0 $distribution/usr/bin/python3|; 2i export PYTHONHOME=$distribution/usr" /build/bin/python3
export PATH=/build/bin QEMU_MODULE_DIR="$libraries/qemu"
eval "$command"
