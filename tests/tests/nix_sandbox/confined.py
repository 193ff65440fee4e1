start_all()


def effects(machine, cases):
    """Runs commands with a setting of systemd's each, and fails where one does not have its effect."""
    for setting, command in cases:
        status, said = machine.execute(f"systemd-run --quiet --pipe --wait --property={setting} bash -c '{command}' 2>&1")
        assert status == 0, f"{machine.name}: {setting}: {said}"


for machine in machines:
    with subtest(f"units of {machine.name} are confined"):
        machine.wait_for_unit("multi-user.target")
        machine.succeed("touch /tmp/mark")
        effects(
            machine,
            [
                ("ProtectSystem=strict", "! touch /usr/x && ! touch /etc/x"),
                ("ProtectSystem=full", "! touch /usr/x && touch /var/x"),
                ("ProtectHome=tmpfs", "touch /root/x"),
                ("PrivateTmp=yes", "! test -e /tmp/mark"),
                ("PrivateDevices=yes", "! test -e /dev/console"),
                ("PrivateNetwork=yes", "! ip link show eth1"),
                ("PrivateUsers=yes", "true"),
                ("ProtectKernelTunables=yes", "! echo 1 >/proc/sys/net/ipv4/ip_forward"),
                ("ProtectControlGroups=yes", "! mkdir /sys/fs/cgroup/x"),
                ("ReadOnlyPaths=/var", "! touch /var/x"),
                ("TemporaryFileSystem=/var", "! test -e /var/lib"),
                ("BindPaths=/usr:/mnt", "test -d /mnt/bin"),
                ("DynamicUser=yes", "! test -w /var/lib && test $(id -u) != 0"),
            ],
        )

    with subtest(f"files of {machine.name}"):
        machine.succeed("echo more >>/etc/hosts && echo new >/usr/local/new && rm /usr/bin/yes && ! test -e /usr/bin/yes")
        machine.succeed("test $(stat -c %U:%a /root) = root:700 && test $(stat -c %a /tmp) = 1777 && test $(stat -c %a /etc/shadow) = 640")
        machine.succeed("! find /usr/bin -perm /6000 | grep .")

    with subtest(f"{machine.name} boots again with what was written"):
        machine.shutdown()
        machine.start()
        machine.succeed("grep more /etc/hosts && test -e /usr/local/new && ! test -e /usr/bin/yes")

# Only this root has kept whose files are whose.
archive.succeed("test $(stat -c %G /etc/shadow) = shadow")
archive.fail("systemd-run --quiet --wait --unit=nowhere --property=BindPaths=/nowhere true")
# Until the journal is here.
archive.sleep(2)
