#!/bin/bash
# The init of a container: fills its root directory, then becomes systemd.
export PATH=/usr/bin:/usr/sbin
mkdir -p /etc /root /tmp /var/empty /var/lib /var/log/journal /var/tmp
chmod 0700 /root
chmod 1777 /tmp /var/tmp
cp -a /system/etc/. /etc/
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
[ -e /etc/os-release ] || ln -s ../usr/lib/os-release /etc/os-release
[ -e /var/run ] || ln -s /run /var/run
chattr -f +i /var/empty
echo 'init of the container'
@commands@
exec /usr/lib/systemd/systemd "$@"
