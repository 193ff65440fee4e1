# Builds a test: makes Nix's sandbox a place that the driver can run in, runs it, and keeps what is to be kept. Its variables are those of
# the derivation in mk-test.nix; `keep` is `output` (what the script put out) or `record` (everything, whatever the verdict).
# It runs with -e.
umask 022
. "$tools"

refuse() {
    {
        echo "tandem: $1"
        [ -z "${2-}" ] || printf '\n%s\n\n%s\n' "$2" "Then run \`sudo systemctl restart nix-daemon.service\` there."
    } >&2
    exit 1
}

# Nix shows a build nothing of its own but the store. Where root is the machine's own, this is no sandbox of Nix's either.
sandboxed() {
    [ ! -e "${NIX_STORE%/*}/var/nix" ] || return 1
    read -r inside outside count </proc/self/uid_map
    [ "$inside $outside $count" != "0 0 4294967295" ]
}

range="Add these lines to /etc/nix/nix.conf on the machine that builds, or merge them with those that are there:

sandbox = true
$(echo "$containersConf")"
if ! sandboxed; then
    [ -z "$containers" ] || refuse "this build is in no sandbox, and its containers ($containers) would be root on this machine." "$range"
    [ -z "$distribution" ] || refuse "this build is in no sandbox, and $distribution would cover this machine's own files." \
        "Set \`sandbox = true\` in /etc/nix/nix.conf on the machine that builds."
fi
if [ -n "$containers" ] && [ "$(id -u)" != 0 ] && [ -z "${entered-}" ]; then
    refuse "containers ($containers) need a range of user ids, and this build has one. Take \`uid-range = false\` out of \`requiredFeatures\`." \
        "$range"
fi
case " $requiredSystemFeatures " in
*" devnet "*)
    # The shell itself ends where a redirection fails, hence the subshell.
    if [ -z "${entered-}" ] && ! (: <>/dev/net/tun) 2>/dev/null; then
        refuse "this machine has the feature \`devnet\`, but a build cannot open /dev/net/tun. Run \`chmod 666 /dev/net/tun\` on the machine that
builds, or write \`requiredFeatures.devnet = false\` into the test: VMs and containers share their LANs without it, too." \
            "Unless they are there, add these lines to /etc/nix/nix.conf:

$(echo "$devnetConf")"
    fi
    ;;
esac

# Shows the distribution's directories in a root: `lay ROOT`.
lay() {
    for directory in usr boot; do
        [ -d "$distribution/$directory" ] || continue
        mkdir -p "$1/$directory"
        mount -o bind "$distribution/$directory" "$1/$directory"
    done
    for directory in bin sbin lib lib32 lib64 libx32; do
        [ -d "$distribution/$directory" ] || continue
        if [ -L "$distribution/$directory" ] && [ ! -e "$1/$directory" ]; then
            ln -s "usr/$directory" "$1/$directory"
        else
            mkdir -p "$1/$directory"
            mount -o bind "$distribution/$directory/" "$1/$directory"
        fi
    done
    # What programs are when there are several, such as `awk`.
    if [ -d "$distribution/etc/alternatives" ]; then
        mkdir -p "$1/etc/alternatives"
        mount -o bind "$distribution/etc/alternatives" "$1/etc/alternatives"
    fi
}

# The sandbox's root belongs to somebody else: everything moves into a new one.
move() {
    root=$NIX_BUILD_TOP/.root
    mkdir -p "$root"
    mount -t tmpfs -o mode=755 none "$root"
    for entry in /*; do
        case $entry in
        # The distribution has its own.
        /bin) ;;
        /etc)
            cp -R /etc "$root"
            chmod -R u+w "$root/etc"
            ;;
        *)
            [ -d "$entry" ] || continue
            mkdir "$root$entry"
            mount -o rbind "$entry" "$root$entry"
            ;;
        esac
    done
    lay "$root"
    mkdir "$root/.old"
    cd "$root"
    pivot_root . .old
    cd "$NIX_BUILD_TOP"
    umount -l /.old
    rmdir /.old
}

if [ -n "$distribution" ]; then
    if [ "$(id -u)" != 0 ]; then
        # Without a range of ids, the build can mount as root of a user namespace with one.
        unshare -U -r -m mount -t tmpfs none "$NIX_BUILD_TOP" 2>/dev/null ||
            refuse "this build may not mount in a user namespace, so that $distribution cannot be shown where its programs look for it. Let users
make user namespaces on the machine that builds (kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0),
give \`programs\` in place of \`distribution\`, or have the test ask for \`requiredFeatures.uid-range = true\`."
        entered=1 exec unshare -U -r -m "$shell" ${applet:+"$applet"} -eu "$0"
    fi
    if [ -n "${entered-}" ]; then move; else lay ""; fi
    programs=$programs${programs:+:}/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin
fi

export HOME="$NIX_BUILD_TOP/home"
mkdir -p "$HOME"
record=$NIX_BUILD_TOP/record
{
    code=0
    PATH=$programs "$driver/bin/tandem-test" --no-color -o "$record" || code=$?
    echo $code >"$NIX_BUILD_TOP/status"
} 2>&1 | tee "$NIX_BUILD_TOP/terminal"
code=$(cat "$NIX_BUILD_TOP/status")

case $keep-$code in
# Nothing was started, by the driver's word (2, 3) or for want of a driver: there is nothing to report, and after a cure it shall run anew.
record-2 | record-3 | record-126 | record-127) exit "$code" ;;
record-* | output-0) ;;
output-*)
    echo "tandem: the attribute \`report\` of this test is a build that has its record, whatever the verdict" >&2
    exit "$code"
    ;;
esac

# The store holds nothing else.
find "$record" ! -type d ! -type f ! -type l -exec echo "tandem: left out, for the store cannot hold it:" {} \; -exec rm {} \;
if [ "$keep" = record ]; then
    cp -R -P "$record" "$out"
    for file in status terminal.log; do
        [ ! -e "$out/$file" ] || mv "$out/$file" "$out/$file.of-script"
    done
    cp "$NIX_BUILD_TOP/status" "$out/status"
    cp "$NIX_BUILD_TOP/terminal" "$out/terminal.log"
else
    rm -f "$record/events.jsonl"
    for machine in $machines; do
        rm -f "$record/$machine/console.log" "$record/$machine/journal.jsonl"
        rmdir "$record/$machine" 2>/dev/null || :
    done
    cp -R -P "$record" "$out"
fi
