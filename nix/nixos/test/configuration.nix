# The driver's configuration: the framework's where it writes one, else the same.
{
  config,
  hostPkgs,
  lib,
  machines,
  options,
}:
let
  written = {
    vms = lib.mapAttrs (name: vm: {
      inherit name;
      start_script = lib.getExe vm.system.build.vm;
    }) machines.vms;
    # There are none, or this says why.
    inherit (machines) containers;
    vlans = lib.unique (
      lib.concatMap (
        vm:
        vm.virtualisation.vlans
        ++ lib.mapAttrsToList (_: interface: interface.vlan) (vm.virtualisation.interfaces or { })
      ) (lib.attrValues machines.vms)
    );
    global_timeout = config.globalTimeout;
    enable_ssh_backdoor = config.sshBackdoor.enable or false;
    test_script = hostPkgs.writeText "test-script" config.testScriptString;
  };

  isFrameworks = options ? driverConfiguration;
in
{
  values = if isFrameworks then config.driverConfiguration else written;

  file =
    if isFrameworks then
      config.driverConfigurationFile
    else
      hostPkgs.writeText "driverConfiguration.json" (builtins.toJSON written);

  # Without a configuration, the framework said in arguments what stands there now.
  arguments =
    if isFrameworks then
      config.extraDriverArgs
    else
      lib.filter (argument: !lib.hasPrefix "--dump-vsocks" argument) config.extraDriverArgs;
}
