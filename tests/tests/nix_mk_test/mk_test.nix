# `mkTest` over the tests' distribution, which has all programs.
{ tandem }:
import ../../../nix/mk-test.nix {
  inherit tandem;
  distribution = builtins.getEnv "DISTRIBUTION";
}
