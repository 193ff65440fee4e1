# Machines that are what they were not declared as.
{ evaluate, lib }:
let
  inherit (evaluate)
    both
    case
    current
    flipped
    json
    older
    program
    starts
    vm
    ;
in
{
  flip = {
    containers = case { inherit (json (current (flipped "containers" both))) vms containers vlans; } {
      vms = { };
      containers = starts "nspawn" [
        "server"
        "web"
      ];
      vlans = [ 1 ];
    };
    vms = case { inherit (json (current (flipped "vms" both))) vms containers; } {
      vms = starts "vm" [
        "server"
        "web"
      ];
      containers = { };
    };
    asDeclared = case { inherit (json (current (flipped "as-declared" both))) vms containers; } {
      vms = starts "vm" [ "server" ];
      containers = starts "nspawn" [ "web" ];
    };
    settingsGoAlong = case (current (flipped "containers" both)).containers.server.networking.hostName "host";
    nothingIsLeft = case (current (flipped "containers" both)).nodes { };
    all = case (lib.attrNames (current (flipped "vms" both)).allMachines) [
      "server"
      "web"
    ];
    merged = case (current (flipped "containers" {
      imports = [
        { nodes.server.services.one = true; }
        { nodes.server.services.two = lib.mkDefault true; }
        { nodes = lib.mkIf false { other = { }; }; }
      ];
      defaults.services.three = true;
      containerDefaults.services.four = true;
      nodeDefaults.services.five = true;
    })).containers.server.services {
      one = true;
      two = true;
      three = true;
      four = true;
    };
    scriptsKnowNodes = case (current (flipped "containers" {
      imports = [ both ];
      testScript = { nodes }: nodes.server.networking.hostName;
    })).testScriptString "host";
    modulesKnowNodes = case (current (flipped "containers" {
      imports = [ both ];
      containers.other = { nodes, ... }: { services.of = nodes.server.networking.hostName; };
    })).containers.other.services.of "host";
    modulesKnowContainers = case (current (flipped "vms" {
      imports = [ both ];
      nodes.other = { containers, ... }: { services.of = containers.web.networking.hostName; };
    })).nodes.other.services.of "web";
    interactive = case { inherit (json (current (flipped "containers" both)).interactive) vms containers; } {
      vms = { };
      containers = starts "nspawn" [
        "server"
        "web"
      ];
    };
    interactiveOnly = case (lib.attrNames (json (current {
      imports = [ both ];
      interactive.tandem.machines = "vms";
    }).interactive).vms) [
      "server"
      "web"
    ];
    ofTheHost = case (json (
      current (
        { hostPkgs, ... }:
        {
          imports = [ vm ];
          tandem.machines = if hostPkgs.stdenv.hostPlatform.isLinux then "containers" else "vms";
        }
      )
    )).containers (starts "nspawn" [ "server" ]);
    package = case (program (current (flipped "vms" both))) "tandem-qemu-test";
    older = case (json (older (flipped "vms" vm))).vms (starts "vm" [ "server" ]);
  };
}
