# The package that runs a test, and its checks.
{ evaluate, lib }:
let
  inherit (evaluate)
    both
    case
    configuration
    container
    current
    has
    isIn
    json
    older
    packages
    program
    starts
    vm
    wrapper
    ;

  # Whether the wrapper's flags end so.
  ends = flags: config: lib.hasSuffix (lib.concatMapStrings (flag: " --add-flags ${flag}") flags) (wrapper config);

  declares = lines: config: case config.driver.attributes.declarations (lib.concatStringsSep "\n" lines);
in
{
  driver = {
    name = case (current both).driver.name "nixos-test-driver-some-test";
    wrapper = case (" " + wrapper (current both)) (
      lib.concatMapStrings (flag: " --add-flags ${flag}") [
        "--config"
        "${(configuration (current both)).file}"
        "--log-level"
        "info"
      ]
    );
    logLevel = case (ends [
      "--log-level"
      "debug"
    ] (current { logLevel = "debug"; })) true;
    extraDriverArgs = case (ends
      [
        "info"
        "--keep-machine-state"
        "'--junit-xml junit.xml'"
      ]
      (current {
        extraDriverArgs = [
          "--keep-machine-state"
          "--junit-xml junit.xml"
        ];
      })
    ) true;
    interactive = case (ends [
      "info"
      "--interactive"
    ] (current both).interactive) true;
    interactiveHasItsQemu = case (program (current both).interactive) "tandem-qemu-nspawn";
    driverInteractive = case (current both).passthru.driverInteractive (current both).interactive.driver;
    interactiveOnly = case (json (current {
      imports = [ vm ];
      interactive.nodes.another = { };
    }).interactive).vms (starts "vm" [
      "another"
      "server"
    ]);
    testsOwnNodes = case (json (current {
      imports = [ vm ];
      interactive.nodes.another = { };
    })).vms (starts "vm" [ "server" ]);
    vms = case (program (current vm)) "tandem-qemu-test";
    containers = case (program (current container)) "tandem-qemu-test-nspawn";
    enableOCR = case (program (current {
      enableOCR = true;
    })) "tandem-qemu-test-ocr";
    extraPythonPackages = case (program (current {
      extraPythonPackages = ps: [ ps.numpy ];
    })) "tandem-qemu-test-numpy";
    qemu = case (program (current {
      qemu.package = packages.qemu;
    })) "tandem-qemu";
    testScript = case (current { testScript = "print(1)"; }).driver.attributes.testScript "print(1)";
    ranByTheTest =
      let
        config = current both;
      in
      case (isIn config.rawTestDerivation.attributes.buildCommand "${config.driver}/bin/nixos-test-driver -o $out") true;
    older = case (ends
      [
        "--log-level"
        "info"
      ]
      (older {
        imports = [ vm ];
        sshBackdoor.enable = true;
      })
    ) true;
  };

  checks = {
    types = case (has "mypy --no-implicit-optional --pretty --no-color-output " (current both)) true;
    typesOfThePackage =
      let
        path = "${packages.tandem.pythonPackage}/lib/python3.13/site-packages";
      in
      case (has "MYPYPATH=${path} " (current both)) true;
    prelude = case (has "-test-script-prepend.py \"$declarationsPath\" > testScriptWithTypes" (current both)) true;
    skipTypeCheck = case (has "mypy" (current {
      imports = [ both ];
      skipTypeCheck = true;
    })) false;
    lint = case (has "PYFLAKES_BUILTINS=server,web,vlan1,$(cat driver-symbols)" (current both)) true;
    symbols = case (has "/bin/generate-driver-symbols\n" (current both)) true;
    skipLint = case (has "pyflakes" (current {
      imports = [ both ];
      skipLint = true;
    })) false;
    declarations = declares [
      "server: QemuMachine;"
      "web: NspawnMachine;"
      "vlan1: VLan;"
    ] (current both);
    onlyOne = declares [
      "web: NspawnMachine;"
      "machine: NspawnMachine;"
      "vlan1: VLan;"
    ] (current container);
    onlyOneBuiltins = case (has "PYFLAKES_BUILTINS=server,machine,vlan1,$(cat driver-symbols)" (current vm)) true;
    odd =
      declares
        [
          "__to_5: QemuMachine;"
          "machine: QemuMachine;"
          "vlan1: VLan;"
        ]
        (current {
          nodes."9-to-5" = { };
          nodes.machine = { };
        });
    nobody = declares [ ] (current { });
  };
}
