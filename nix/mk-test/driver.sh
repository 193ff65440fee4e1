# Builds a driver: the test file, its script, and a program that runs them. Its variables are those of the derivation in mk-test.nix.
. "$tools"

mkdir -p "$out/bin"
cp "$jsonPath" "$out/test.json"
cp "$scriptPath" "$out/test-script.py"
cat >"$out/bin/tandem-test" <<PROGRAM
#!$shell${applet:+ $applet}
PATH=$programs\${PATH:+${programs:+:}\$PATH}
export PATH
exec $tandem/bin/tandem $command "\$@" $out/test.json
PROGRAM
chmod 555 "$out/bin/tandem-test"
