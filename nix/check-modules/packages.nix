# What the modules use of nixpkgs' packages. A package is a derivation that nobody builds, with what it was made of.
{ lib }:
let
  system = "x86_64-linux";

  mkDerivation =
    argument:
    let
      function = if lib.isFunction argument then argument else _: argument;
      attributes = lib.fix function;
      made = derivation {
        inherit system;
        inherit (attributes) name;
        builder = "/bin/sh";
        args = [
          "-c"
          (attributes.buildCommand or "")
        ];
      };
    in
    made
    // {
      inherit attributes;
      requiredSystemFeatures = attributes.requiredSystemFeatures or [ ];
      overrideAttrs = change: mkDerivation (lib.extends (lib.toExtension change) function);
    }
    // attributes.passthru or { };

  package = name: mkDerivation { inherit name; };
in
{
  stdenv = {
    inherit mkDerivation;
    hostPlatform = {
      inherit system;
      isLinux = true;
      isDarwin = false;
    };
  };

  runCommand =
    name: attributes: buildCommand:
    mkDerivation (attributes // { inherit name buildCommand; });

  writeText = name: text: package name // { inherit text; };

  python3.sitePackages = "lib/python3.13/site-packages";
  python3Packages.pyflakes = package "pyflakes";
  makeWrapper = package "make-wrapper";
  mypy = package "mypy";
  qemu_test = package "qemu-test";
  qemu = package "qemu";
  coreutils = package "coreutils";
  bash = package "bash";

  # Tandem's own. Its name says how it was overridden.
  tandem =
    let
      make =
        {
          enableNspawn ? true,
          enableOCR ? false,
          extraPythonPackages ? (_: [ ]),
          qemu_pkg ? package "default-qemu",
        }:
        package (
          lib.concatStringsSep "-" (
            [
              "tandem"
              qemu_pkg.name
            ]
            ++ lib.optional enableNspawn "nspawn"
            ++ lib.optional enableOCR "ocr"
            ++ map (python: python.name) (extraPythonPackages { numpy = package "numpy"; })
          )
        )
        // {
          override = make;
          pythonPackage = package "tandem-test-driver";
        };
    in
    make { };
}
