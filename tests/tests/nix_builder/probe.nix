# A build that shows what builds get: it runs `command` in the shell of the distribution's busybox.
{
  features ? [ ],
  # Tells builds apart that are the same otherwise.
  id ? "",
  # Other builds, which have to be there for this one.
  inputs ? [ ],
  command,
}:
let
  distribution = builtins.storePath (builtins.getEnv "DISTRIBUTION");
in
derivation {
  name = "probe";
  system = builtins.currentSystem;
  builder = "${distribution}/usr/bin/busybox";
  args = [
    "sh"
    "-euc"
    command
  ];
  PATH = "${distribution}/usr/bin";
  requiredSystemFeatures = features;
  inherit id inputs;
}
