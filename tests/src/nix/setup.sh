# Gives the machine a store of its own in which the prepared files are valid, and its settings. The store's file system is plain, because the
# kernel stacks only so many overlays, and tests have their own.
#
# STORE      the prepared store
# SETTINGS   nix.conf
mkdir "$WORK/nix"
cp -a "$STORE/var" "$WORK/nix/var"
install -d -m 1775 -g "$(stat -c %g "$STORE/store")" "$WORK/nix/store"
for path in "$STORE"/store/*; do
    target=$WORK/nix/store/${path##*/}
    mkdir "$target"
    mount --bind "$path" "$target"
    mount -o remount,bind,ro "$target"
done
printf '%s' "$SETTINGS" >"$WORK/root/etc/nix/nix.conf"
echo "export DISTRIBUTION=/nix/store/${path##*/}" >"$WORK/root/etc/nix-test"
options+=("--bind=$WORK/nix:/nix")
