# For the configuration of a NixOS system that is a container of tests: the usual NixOS, but for what tests have no use for.
#
# Everything here is a default, so that a test can have it otherwise. Nothing here needs a program with an s-bit, which neither Nix's store nor
# its sandbox has.
{
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkDefault;

  # The name since there are containers in nixpkgs' own tests.
  isContainer = if options.boot ? isNspawnContainer then "isNspawnContainer" else "isContainer";
in
{
  boot.${isContainer} = mkDefault true;

  users.users.root.initialHashedPassword = mkDefault "";

  documentation.enable = mkDefault false;
  # Without DHCP nothing brings the gzip that an index of manuals takes.
  documentation.info.enable = mkDefault false;
  documentation.nixos.enable = mkDefault false;

  system.switch.enable = mkDefault false;

  # The driver has configured the interfaces, and nobody on their LANs would answer.
  networking.useDHCP = mkDefault false;

  # The root shell that drivers look for. A container is entered through its namespaces and has no such console, so that there the service
  # rests; it is for the same system as a VM.
  systemd.services.backdoor = {
    enable = mkDefault true;
    description = mkDefault "Root shell for the test driver";
    wantedBy = mkDefault [ "multi-user.target" ];
    unitConfig.ConditionPathExists = mkDefault "/dev/hvc0";
    serviceConfig.KillSignal = mkDefault "SIGHUP";
    script = mkDefault ''
      export USER=root HOME=/root DISPLAY=:0.0
      if [[ -e /etc/profile ]]; then
        set +o nounset
        source /etc/profile
      fi
      export PAGER=
      cd /tmp
      exec </dev/hvc0 >/dev/hvc0 2>/dev/console
      ${pkgs.coreutils}/bin/stty raw -echo
      echo 'Spawning backdoor root shell...'
      PS1= exec ${pkgs.bashNonInteractive or pkgs.bash}/bin/bash --norc /dev/hvc0
    '';
  };
}
