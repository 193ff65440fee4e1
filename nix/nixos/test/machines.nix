# Which machines are VMs and which are containers, by `tandem.machines`.
{
  config,
  lib,
  options,
}:
let
  inherit (config.tandem) machines;

  # Since March 2026 the framework has containers. Before, the option is only the part of it that test.nix declares.
  hasContainers = options ? container;

  tooOld = "this nixpkgs has no containers in tests; update it to one of March 2026 or later";

  # The machines that are declared under one option, as the other option would have them. Definitions are merged as that does it, and errors
  # tell where they stand.
  moved =
    from: to:
    (lib.mergeDefinitions [ to ] options.${to}.type options.${from}.definitionsWithLocations).mergedValue;

  both =
    declared: others:
    let
      names = lib.attrNames (builtins.intersectAttrs declared others);
    in
    lib.throwIfNot (names == [ ])
      "The following names are used in both `nodes` and `containers`: ${lib.concatStringsSep ", " names}"
      (declared // others);

  # What only VMs have and what a test can do without.
  ignored = lib.genAttrs [
    "cores"
    "diskSize"
    "graphics"
    "memorySize"
    "msize"
    "resolution"
  ] (_: lib.mkOption { });
in
{
  # What `nodes` and `containers` become.
  apply = {
    nodes =
      declared:
      {
        as-declared = declared;
        containers = { };
        vms = if hasContainers then both declared (moved "containers" "nodes") else declared;
      }
      .${machines};

    containers =
      declared:
      lib.throwIfNot hasContainers "`containers`: ${tooOld}"
        {
          as-declared = declared;
          containers = both declared (moved "nodes" "containers");
          vms = { };
        }
        .${machines};
  };

  vms = config.nodes;

  containers =
    if options.containers.isDefined then
      config.containers
    else
      lib.throwIf (machines == "containers") "`tandem.machines = \"containers\"`: ${tooOld}" { };

  asContainers = lib.optionalAttrs hasContainers {
    containerDefaults.options.virtualisation = ignored;

    # Modules and scripts know their machines as `nodes`. The framework looks at this option, which containers lack, before it hands them to
    # the script.
    nodesCompat = lib.mapAttrs (
      _: machine:
      machine
      // {
        virtualisation = machine.virtualisation // {
          useNixStoreImage = false;
        };
      }
    ) config.containers;
  };

  # Not on condition: whether it holds may take the arguments of modules to find out.
  arguments.containers = lib.mkForce (if machines == "vms" then config.nodes else config.containers);

  asVms = {
    extraBaseModules._module.args.containers = lib.mkForce config.nodes;
  };
}
