# A build that does something with machines in the sandbox.
{ enter, command, features }:
let
  distribution = builtins.storePath (builtins.getEnv "DISTRIBUTION");
in
derivation {
  name = "machines";
  system = builtins.currentSystem;
  builder = "${distribution}/usr/bin/busybox";
  args = [ "sh" "-e" (builtins.path { path = enter; name = "enter.sh"; }) ];
  requiredSystemFeatures = builtins.fromJSON features;
  tandem = builtins.path { path = /tandem/tandem; name = "tandem"; };
  files = builtins.path { path = /root/files; name = "files"; };
  inherit distribution command;
}
