# What builders must have, and what the driver reads.
{ evaluate, lib }:
let
  inherit (evaluate)
    both
    case
    container
    current
    features
    flipped
    json
    older
    olderWithFeatures
    starts
    vm
    ;
in
{
  requiredFeatures = {
    none = case (features (current { })) [ "nixos-test" ];
    vm = case (features (current vm)) [
      "kvm"
      "nixos-test"
    ];
    container = case (features (current container)) [
      "nixos-test"
      "uid-range"
    ];
    both = case (features (current both)) [
      "devnet"
      "kvm"
      "nixos-test"
      "uid-range"
    ];
    optedOut = case (features (current {
      imports = [ both ];
      requiredFeatures.devnet = false;
    })) [
      "kvm"
      "nixos-test"
      "uid-range"
    ];
    tandemNeedsNone = case (features (current {
      imports = [ both ];
      tandem.devNet = false;
    })) [
      "kvm"
      "nixos-test"
      "uid-range"
    ];
    theTestsWordCounts = case (features (current {
      imports = [ both ];
      tandem.devNet = false;
      requiredFeatures.devnet = true;
    })) [
      "devnet"
      "kvm"
      "nixos-test"
      "uid-range"
    ];
    freeForm = case (features (current {
      imports = [ vm ];
      requiredFeatures.cuda = true;
      requiredFeatures.kvm = false;
    })) [
      "cuda"
      "nixos-test"
    ];
    toContainers = case (features (current (flipped "containers" both))) [
      "nixos-test"
      "uid-range"
    ];
    toVms = case (features (current (flipped "vms" both))) [
      "kvm"
      "nixos-test"
    ];
    older = case (features (older vm)) [
      "nixos-test"
      "kvm"
    ];
    olderWithTheOption = case (features (olderWithFeatures {
      imports = [ vm ];
      requiredFeatures.kvm = false;
      requiredFeatures.cuda = true;
    })) [
      "cuda"
      "nixos-test"
    ];
    olderDefaults = case (features (olderWithFeatures vm)) [
      "kvm"
      "nixos-test"
    ];
  };

  configuration = {
    both = case (removeAttrs (json (current both)) [ "test_script" ]) {
      vms = starts "vm" [ "server" ];
      containers = starts "nspawn" [ "web" ];
      vlans = [ 1 ];
      global_timeout = 3600;
      enable_ssh_backdoor = false;
    };
    globalTimeout = case (json (current { globalTimeout = 60; })).global_timeout 60;
    sshBackdoor = case (json (current { sshBackdoor.enable = true; })).enable_ssh_backdoor true;
    older = case (removeAttrs (json (older {
      nodes.server.virtualisation.vlans = [
        1
        2
      ];
      nodes.client.virtualisation.interfaces.lan.vlan = 7;
      sshBackdoor.enable = true;
      globalTimeout = 60;
    })) [ "test_script" ]) {
      vms = starts "vm" [
        "client"
        "server"
      ];
      containers = { };
      vlans = [
        1
        7
        2
      ];
      global_timeout = 60;
      enable_ssh_backdoor = true;
    };
    olderScript = case (lib.hasSuffix "-test-script" (json (older vm)).test_script) true;
  };
}
