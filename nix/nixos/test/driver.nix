# The package that runs a test: nixos-test-driver with the test's configuration, and the script that was checked.
{
  config,
  configuration,
  hostPkgs,
  lib,
  machines,
}:
let
  inherit (lib)
    attrNames
    concatMap
    concatStringsSep
    escapeShellArg
    escapeShellArgs
    optional
    optionalString
    ;

  program = config.tandem.package.override {
    inherit (config) enableOCR extraPythonPackages;
    qemu_pkg = config.qemu.package;
    enableNspawn = machines.containers != { };
  };

  # The names of machines as variables of a script.
  pythonName =
    name:
    let
      letters = lib.stringAsChars (c: if builtins.match "[A-Za-z0-9_]" c == null then "_" else c) name;
    in
    if builtins.match "[0-9].*" letters == null then letters else "_" + lib.substring 1 (-1) letters;

  names = set: map pythonName (attrNames set);
  inherit (configuration.values) vms containers;
  all = names vms ++ names containers;
  lans = map (number: "vlan${toString number}") configuration.values.vlans;

  # A script may call its only machine so.
  only = optional (lib.length all == 1 && all != [ "machine" ]) "machine";
  onlyIn = set: lib.optionals (set != { }) only;

  declarations = concatStringsSep "\n" (
    map (name: "${name}: QemuMachine;") (names vms ++ onlyIn vms)
    ++ map (name: "${name}: NspawnMachine;") (names containers ++ onlyIn containers)
    ++ map (vlan: "${vlan}: VLan;") lans
  );

  flags = [
    "--config"
    "${configuration.file}"
    "--log-level"
    (config.logLevel or "info")
  ]
  ++ configuration.arguments;

  # The package's own types are no concern of the script's, and another mypy may have something against them.
  checkTypes = optionalString (!config.skipTypeCheck) ''
    echo "Running type check (enable/disable: config.skipTypeCheck)"
    cat ${../../../driver-cli/python/test-script-prepend.py} "$declarationsPath" > testScriptWithTypes
    echo >> testScriptWithTypes
    cat "$testScriptPath" >> testScriptWithTypes
    MYPYPATH=${program.pythonPackage}/${hostPkgs.python3.sitePackages} \
      mypy --no-implicit-optional --pretty --no-color-output --follow-imports=silent testScriptWithTypes
  '';

  # The framework itself warns of a script that nobody looks at.
  lint = optionalString (!config.skipLint) ''
    echo "Linting test script (enable/disable: config.skipLint)"
    ${program}/bin/generate-driver-symbols
    PYFLAKES_BUILTINS=${escapeShellArg (concatStringsSep "," (all ++ only ++ lans))},$(cat driver-symbols) \
      pyflakes $out/test-script
  '';

  inherit (hostPkgs.stdenv) hostPlatform;
in
lib.throwIfNot hostPlatform.isLinux "tandem runs tests on Linux only; this host is ${hostPlatform.system}" (
  hostPkgs.runCommand "nixos-test-driver-${config.name}"
    {
      nativeBuildInputs = [
        hostPkgs.makeWrapper
      ]
      ++ optional (!config.skipTypeCheck) hostPkgs.mypy
      ++ optional (!config.skipLint) hostPkgs.python3Packages.pyflakes;
      inherit declarations;
      testScript = config.testScriptString;
      passAsFile = [
        "declarations"
        "testScript"
      ];
      preferLocalBuild = true;
      inherit (config) passthru;
      meta = config.meta // {
        mainProgram = "nixos-test-driver";
      };
    }
    ''
      mkdir -p $out/bin
      cp "$testScriptPath" $out/test-script
      ${checkTypes}
      ${lint}
      makeWrapper ${program}/bin/nixos-test-driver $out/bin/nixos-test-driver \
        ${escapeShellArgs (
          concatMap (flag: [
            "--add-flags"
            flag
          ]) flags
        )}
    ''
)
