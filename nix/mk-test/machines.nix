# What a test's script, if it is a function, knows of the machines: `machines VMS CONTAINERS` is a set of them by name, each with its keys
# and with the addresses that the driver gives it.
let
  inherit (builtins)
    attrNames
    elemAt
    genList
    head
    length
    listToAttrs
    ;
in
nodes: containers:
let
  all = nodes // containers;
  names = attrNames all;
  machine =
    index:
    let
      name = elemAt names index;
      number = index + 1;
      vlans = if (all.${name}.vlans or null) == null then [ 1 ] else all.${name}.vlans;
      interface =
        at:
        let
          vlan = elemAt vlans at;
        in
        {
          name = "eth${toString (at + 1)}";
          inherit vlan;
          ipv4 = "192.168.${toString vlan}.${toString number}";
          # The number as decimal text: the tenth machine is `::10`.
          ipv6 = "2001:db8:${toString vlan}::${toString number}";
        };
      interfaces = genList interface (length vlans);
    in
    {
      inherit name;
      value = all.${name} // {
        inherit
          name
          number
          vlans
          interfaces
          ;
        backend = if nodes ? ${name} then "vm" else "container";
        # The names that scripts for NixOS use.
        networking = {
          hostName = name;
          primaryIPAddress = if vlans == [ ] then "" else (head interfaces).ipv4;
          primaryIPv6Address = if vlans == [ ] then "" else (head interfaces).ipv6;
        };
      };
    };
in
listToAttrs (genList machine (length names))
