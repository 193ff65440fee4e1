# A stand-in for nixpkgs, of which package.nix takes what is here: each package is its name, each builder gives its arguments back.
{
  system ? "x86_64-linux",
  # Where everything would be built.
  store ? "/STORE",
}:
let
  # What stands for a package: something that becomes a store path when it is put into a text.
  package = name: {
    inherit name;
    outPath = "${store}/${name}";
  };
  # What a builder was given, as what it would have built.
  built =
    builder: arguments:
    let
      name = arguments.pname or arguments.name;
    in
    (arguments.passthru or { })
    // {
      inherit builder arguments;
      inherit (package name) name outPath;
    };

  pkgs = {
    lib = {
      licenses = {
        mit = "MIT";
        asl20 = "Apache-2.0";
      };
      optional = condition: value: if condition then [ value ] else [ ];
      optionals = condition: values: if condition then values else [ ];
      optionalString = condition: text: if condition then text else "";
      getBin = package: package;
      makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
      genAttrs =
        names: value:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = value name;
          }) names
        );
    };
    stdenv = {
      hostPlatform = {
        inherit system;
        isGnu = true;
      };
      buildPlatform.canExecute = platform: platform.system == system;
      cc.libc.static = package "glibc-static";
    };
    stdenvNoCC.mkDerivation = built "mkDerivation";
    rustPlatform.buildRustPackage = built "buildRustPackage";
    symlinkJoin = built "symlinkJoin";
    python3 = package "python3" // {
      sitePackages = "lib/python3.11/site-packages";
      pkgs = {
        mypy = package "mypy";
        ptpython = package "ptpython";
        requests = package "requests";
        toPythonModule = package: package // { isPythonModule = true; };
      };
      withPackages = choose: package "python3-env" // { packages = choose pkgs.python3.pkgs; };
    };
    callPackage =
      file:
      let
        function = import file;
        # As `.override` of nixpkgs has it.
        with' =
          arguments:
          function (builtins.intersectAttrs (builtins.functionArgs function) (pkgs // named) // arguments)
          // {
            override = more: with' (arguments // more);
          };
      in
      with';
    mkShell = arguments: built "mkShell" ({ name = "shell"; } // arguments);
    runtimeShell = "${package "bash"}/bin/bash";
  };
  named = pkgs.lib.genAttrs [
    "bzip2"
    "cargo"
    "clippy"
    "coreutils"
    "e2fsprogs"
    "findutils"
    "gnutar"
    "gzip"
    "imagemagick"
    "installShellFiles"
    "makeBinaryWrapper"
    "nixfmt"
    "qemu"
    "qemu_test"
    "ruff"
    "rustc"
    "rustfmt"
    "socat"
    "systemd"
    "tesseract"
    "util-linux"
    "vhost-device-vsock"
    "virtiofsd"
    "xz"
    "zstd"
  ] package;
in
pkgs // named
