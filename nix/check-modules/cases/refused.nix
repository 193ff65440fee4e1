# What cannot be had, and the message that says why.
{ evaluate, lib }:
let
  inherit (evaluate)
    container
    current
    flipped
    host
    json
    older
    packages
    vm
    ;

  names = config: [ (json config) ];
in
{
  both-names = {
    value = names (current {
      nodes.server = { };
      containers.server = { };
    });
    says = "The following names are used in both `nodes` and `containers`";
  };
  both-names-flipped = {
    value = names (current (flipped "containers" {
      nodes.server = { };
      containers.server = { };
    }));
    says = "The following names are used in both `nodes` and `containers`: server";
  };
  both-names-flipped-to-vms = {
    value = names (current (flipped "vms" {
      nodes.server = { };
      containers.server = { };
    }));
    says = "The following names are used in both `nodes` and `containers`: server";
  };
  no-such-kind = {
    value = names (current { tandem.machines = "pods"; });
    says = "is not of type `one of \"as-declared\", \"containers\", \"vms\"'";
  };
  no-such-option = {
    value = names (current { tandem.machine = "vms"; });
    says = "The option `tandem.machine' does not exist";
  };
  options-of-vms-only = {
    value = (current (flipped "containers" {
      nodes.server.virtualisation.qemu.options = [ "-snapshot" ];
    })).containers.server.networking.hostName;
    says = "The option `containers.server.virtualisation.qemu' does not exist";
  };
  options-of-containers-only = {
    value = (current (flipped "vms" {
      containers.web.virtualisation.systemd-nspawn.options = [ "--ephemeral" ];
    })).nodes.web.networking.hostName;
    says = "The option `nodes.web.virtualisation.systemd-nspawn' does not exist";
  };
  containers-of-an-older-nixpkgs = {
    value = names (older container);
    says = "`containers`: this nixpkgs has no containers in tests; update it to one of March 2026 or later";
  };
  flipped-on-an-older-nixpkgs = {
    value = names (older (flipped "containers" vm));
    says = "`tandem.machines = \"containers\"`: this nixpkgs has no containers in tests";
  };
  features-of-an-older-nixpkgs = {
    value = names (older { requiredFeatures.kvm = false; });
    says = "The option `requiredFeatures' does not exist";
  };
  another-system = {
    value = (current {
      hostPkgs = lib.mkForce (
        lib.recursiveUpdate packages {
          stdenv.hostPlatform.isLinux = false;
          stdenv.hostPlatform.system = "aarch64-darwin";
        }
      );
    }).driver.name;
    says = "tandem runs tests on Linux only; this host is aarch64-darwin";
  };
  in-a-host = {
    value = (host { container.enable = true; }).nix.settings;
    says = "The option `tandem.builder.container' does not exist";
  };
}
