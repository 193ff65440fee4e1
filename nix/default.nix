# Everything in nix/, for those who use no flakes: `nix-build nix -A package`, or in a file of their own
#
#     let tandem = import ./tandem/nix { }; in tandem.mkTest { name = "hello"; … }
#
# nixpkgs is only looked for by what needs it. `mkTest` does without, if it is told what it would take from there.
{
  # nixpkgs; null is `<nixpkgs>`, the one in Nix's search path.
  pkgs ? null,
  # Whom tests are built for.
  system ? builtins.currentSystem,
  # For `mkTest`, a package whose `bin` holds the program `tandem`; null is `package`.
  tandem ? null,
  # For `mkTest`, store paths whose `bin` and `sbin` have the programs that tests run; null is what is in nixpkgs.
  programs ? null,
  # For `mkTest`, the path of a POSIX shell; null is that of nixpkgs.
  shell ? null,
  # What else mk-test.nix understands, such as `distribution`.
  ...
}@arguments:

let
  search = builtins.tryEval <nixpkgs>;
  nixpkgs =
    if pkgs != null then
      pkgs
    else if search.success then
      import search.value { inherit system; }
    else
      throw ''
        Tandem's `package` is built from nixpkgs, and there is no <nixpkgs> in Nix's search path.
        Give it: import ./nix { pkgs = import /path/to/nixpkgs { }; }
        `mkTest` does without if it is given `tandem`, `programs` and `shell`.'';

  package = nixpkgs.callPackage ./package.nix { };

  defaults = {
    system = if pkgs != null then pkgs.stdenv.hostPlatform.system else system;
    tandem = package;
  }
  # A distribution has them all.
  // (
    if isGiven "distribution" then
      { }
    else
      {
        # Behind those that the driver runs, what mkTest runs around it.
        programs = map nixpkgs.lib.getBin (
          package.programs
          ++ [
            package.python
            nixpkgs.findutils
            nixpkgs.util-linux
          ]
        );
        shell = nixpkgs.runtimeShell;
      }
  );
  isGiven = name: arguments.${name} or null != null;
  given = removeAttrs arguments (
    [ "pkgs" ] ++ builtins.filter (name: !isGiven name) (builtins.attrNames arguments)
  );
in
{
  inherit package;

  # The function that makes a derivation of a test.
  mkTest = import ./mk-test.nix (defaults // given);

  nixosModules = {
    # Sets a host up to build tests.
    builder = ./nixos/builder.nix;
    # What a NixOS is that a test has as a container.
    container = ./nixos/container.nix;
  };

  # For nixpkgs' test framework: puts Tandem in the place of its driver.
  testModule = ./nixos/test.nix;

  # Adds the package to nixpkgs as `tandem`.
  overlay = final: _prev: {
    tandem = final.callPackage ./package.nix { };
  };
}
