# The init of a guest that brings upstream's backdoor with it, and nothing of ours.
export PATH=/usr/bin:/usr/sbin USER=root HOME=/root PAGER=
mkdir -p /tmp /root
cd /tmp
# As udev does.
ln -sfn /proc/self/fd /dev/fd
echo "the guest's own init"
while :; do
    (
        exec </dev/hvc0 >/dev/hvc0 2>/dev/console
        stty raw -echo
        echo 'Spawning backdoor root shell...'
        PS1= exec bash --norc /dev/hvc0
    )
    sleep 1
done
