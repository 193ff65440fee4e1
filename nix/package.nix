# The package, for `callPackage` of nixpkgs. The last arguments have the names and the meaning that they have with nixpkgs' own test driver.
#
# Other values of them do not build the program again: it is wrapped anew.
{
  lib,
  stdenv,
  stdenvNoCC,
  rustPlatform,
  installShellFiles,
  makeBinaryWrapper,
  symlinkJoin,
  python3,

  # What every test may need: roots that are tar files, connections by socat, a breakpoint's `sleep`.
  coreutils,
  gnutar,
  gzip,
  bzip2,
  xz,
  zstd,
  socat,

  # What containers need.
  systemd,

  # What VMs need. Without vhost-device-vsock, which nixpkgs has not always had, people reach them by their LANs.
  e2fsprogs,
  qemu_test,
  virtiofsd,
  vhost-device-vsock ? null,

  # What reads screens. imagemagick_light knows no PNG.
  imagemagick,
  tesseract,

  # Whether containers can be run. systemd is left out if not.
  enableNspawn ? true,
  # Whether the text on screens can be read. tesseract and ImageMagick come with it.
  enableOCR ? false,
  # What test scripts may import: Python packages out of the set that is given, such as `ps: [ ps.requests ]`.
  extraPythonPackages ? (_ps: [ ]),
  # The QEMU of VMs that have no start script.
  qemu_pkg ? qemu_test,
}:

let
  source = import ./source.nix;
  inherit ((fromTOML (builtins.readFile ../Cargo.toml)).workspace.package) version;

  meta = {
    description = "Integration tests over containers and VMs, driven by a Python script";
    license = with lib.licenses; [
      mit
      asl20
    ];
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    mainProgram = "tandem";
  };

  unwrapped = rustPlatform.buildRustPackage {
    pname = "tandem-unwrapped";
    inherit version meta;
    src = source.workspace;
    cargoLock.lockFile = ../Cargo.lock;
    cargoBuildFlags = [
      "--locked"
      "--package=driver-cli"
    ];
    nativeBuildInputs = [ installShellFiles ];
    # The first program of a VM is a static one.
    buildInputs = lib.optionals stdenv.hostPlatform.isGnu [ stdenv.cc.libc.static ];
    # Tests boot machines. Those that can do so in a sandbox are the flake's checks.
    doCheck = false;
    postInstall = ''
      ln -s tandem $out/bin/nixos-test-driver
      ln -s tandem $out/bin/generate-driver-symbols
    ''
    + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      for shell in bash fish zsh; do
        $out/bin/tandem completions $shell > tandem.$shell
      done
      installShellCompletion --cmd tandem --bash tandem.bash --fish tandem.fish --zsh tandem.zsh

      # The program's page names those of its commands.
      $out/bin/tandem man > tandem.1
      for command in $(sed -n 's/^tandem\\-\([a-z-]*\)(1)$/\1/p' tandem.1); do
        $out/bin/tandem man $command > tandem-$command.1
      done
      installManPage tandem*.1
    '';
  };

  # The names that test scripts use, with their types: for type checkers, linters and editors. The program carries them inside.
  pythonPackage = python3.pkgs.toPythonModule (
    stdenvNoCC.mkDerivation {
      pname = "tandem-test-driver";
      inherit version;
      src = source.python;
      dontBuild = true;
      installPhase = ''
        runHook preInstall
        mkdir -p $out/${python3.sitePackages}
        cp -r driver-cli/python/test_driver $out/${python3.sitePackages}/
        runHook postInstall
      '';
      meta = removeAttrs meta [ "mainProgram" ];
    }
  );

  # `tandem repl` has the prompt of ptpython.
  python = python3.withPackages (ps: [ ps.ptpython ] ++ extraPythonPackages ps);

  programs = [
    coreutils
    gnutar
    gzip
    bzip2
    xz
    zstd
    socat
    qemu_pkg
    virtiofsd
    e2fsprogs
  ]
  ++ lib.optional (vhost-device-vsock != null) vhost-device-vsock
  ++ lib.optional enableNspawn systemd
  ++ lib.optionals enableOCR [
    tesseract
    imagemagick
  ];
in
symlinkJoin {
  name = "tandem-${version}";
  paths = [
    unwrapped
    pythonPackage
  ];
  nativeBuildInputs = [ makeBinaryWrapper ];
  # One program by three names. Each wrapper says the name itself, because a wrapper around it, as nixpkgs makes one for every test, would
  # pass on another. The user's programs go first, but for the Python, which has what test scripts import.
  postBuild = ''
    for program in ${unwrapped}/bin/*; do
      name=$(basename $program)
      rm $out/bin/$name
      makeWrapper $program $out/bin/$name --argv0 $name \
        --prefix PATH : ${lib.makeBinPath [ python ]} \
        --suffix PATH : ${lib.makeBinPath programs}
    done
  '';
  passthru = {
    inherit
      unwrapped
      pythonPackage
      python
      programs
      ;
  };
  inherit meta;
}
