#!@debian@/usr/bin/busybox sh
# Fills an empty root as the init of a NixOS system does, then becomes systemd.
run() { @debian@/usr/bin/busybox "$@"; }
system=@system@
[ -n "$container" ] || run mount -n -o remount,rw none /
echo "booting system configuration $system" >/dev/kmsg
run mkdir -p /etc /home /root /tmp /usr /var/empty /var/lib /var/log/journal /var/tmp
run chmod 0700 /root
run chmod 1777 /tmp /var/tmp
# Debian's programs name their libraries by paths of Debian's.
run mount --bind @debian@/usr /usr
for link in bin sbin lib lib64; do
  run ln -sfn usr/$link /$link
done
run ln -sfn /run /var/run
run ln -sfn "$system/etc" /etc/static
for file in /etc/static/*; do
  name=${file##*/}
  case $name in
  passwd | group | shadow) [ -e "/etc/$name" ] || run cp "$file" "/etc/$name" ;;
  *)
    run ln -s "/etc/static/$name" "/etc/$name.tmp"
    run mv -T -f "/etc/$name.tmp" "/etc/$name"
    ;;
  esac
done
run chmod 0640 /etc/shadow
: >>/etc/machine-id
run ln -sfn "$system" /run/current-system
run ln -sfn "$system" /run/booted-system
echo 'starting systemd...'
exec /run/current-system/systemd/lib/systemd/systemd "$@"
