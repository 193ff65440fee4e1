# All that is wrong with a test, as far as evaluation can tell: `problems DISTRIBUTION TEST` is a list of texts, each with what to do about
# it. What only the files themselves can tell is left to the driver, which looks at all of it before it starts anything.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    functionArgs
    isAttrs
    isFunction
    isPath
    isString
    match
    stringLength
    ;
  keys = import ./keys.nix;
  nearest = import ./nearest.nix;
  inherit (import ./value.nix)
    cure
    found
    list
    quote
    ;

  unknown =
    name: known:
    let
      meant = nearest name known;
    in
    if meant != null then
      "unknown key; did you mean ${quote meant}?"
    else
      "unknown key; the keys here are ${list known}";

  # The sets of machines, as far as they are such: what is wrong with them otherwise is told with the test's keys.
  machinesOf = test: group: if isAttrs (test.${group} or { }) then test.${group} or { } else { };

  machine =
    distribution: group: name: spec:
    let
      about = problem: "${group}: machine ${quote name}: ${problem}";
      known = filter (key: (keys.machine.${key}.only or group) == group) (attrNames keys.machine);
      other = if group == "nodes" then "containers" else "nodes";
      key =
        key: value:
        if key == "backend" then
          [ "key `backend`: VMs are below `nodes`, containers below `containers`; take it out" ]
        else if !keys.machine ? ${key} then
          [ "key ${quote key}: ${unknown key known}" ]
        else if !elem key known then
          [ "key ${quote key}: only machines below ${quote other} have it; take it out, or put the machine there" ]
        else if value == "host" && key == "root" then
          [ "key `root`: a build has no host to share; ${cure}" ]
        else if value == null then
          [ ]
        else
          map (wrong: "key ${quote key}: ${wrong}") (keys.machine.${key}.wrong value);
      hasRoot = (spec.root or null) != null || (spec.start-script or null) != null || distribution != null;
    in
    map about (
      (
        if match "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?" name == null then
          [ "the name is no host name; use 1 to 63 letters, digits and `-`, and no `-` at either end" ]
        else if name == "status" then
          [ "a report has something else by that name; choose another name" ]
        else
          [ ]
      )
      ++ (
        if !isAttrs spec then
          [
            "expected a set of keys, found ${found spec}${
              if isFunction spec then "; a module of NixOS is for the test framework of nixpkgs" else ""
            }"
          ]
        else
          concatMap (name: key name spec.${name}) (attrNames spec)
          ++ (if hasRoot then [ ] else [ "no `root`; add a directory with a system, such as a distribution's, or a disk image" ])
      )
    );

  script =
    script:
    let
      wanted = [ "containers" "machines" "nodes" ];
      names = filter (name: !elem name wanted && !(functionArgs script).${name}) (attrNames (functionArgs script));
      text = if isPath script then builtins.readFile script else script;
    in
    if isFunction script then
      map (name: "key `testScript`: the function asks for ${quote name}; it can have ${list wanted}") names
    else if isPath script && !builtins.pathExists script then
      [ "key `testScript`: ${quote (toString script)} does not exist" ]
    else if (isPath script || isString script) && match "[[:space:]]*" text != null then
      [ "key `testScript`: the script is empty; write what is to be tested, such as `start_all()`" ]
    else
      [ ];

  name =
    name:
    if !isString name then
      [ ]
    else if match "[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]*" name == null then
      [
        "key `name`: ${quote name} is no name for the store; use letters, digits and `+-._?=`, and no `.` first"
      ]
    else if stringLength name > 180 then
      [ "key `name`: ${toString (stringLength name)} characters are too many for the store; use 180 or fewer" ]
    else
      [ ];
in
distribution: test:
if !isAttrs test then
  [ "expected a set with `name` and `testScript`, found ${found test}" ]
else
  let
    known = attrNames keys.test;
    containers = machinesOf test "containers";
    nodes = machinesOf test "nodes";
    key =
      key:
      if !keys.test ? ${key} then
        [ "key ${quote key}: ${unknown key known}" ]
      else
        map (wrong: "key ${quote key}: ${wrong}") (keys.test.${key}.wrong test.${key});
    count = builtins.length (attrNames (containers // nodes));
  in
  (if test ? name then [ ] else [ "no `name`; add the key `name`, such as `name = \"hello\"`" ])
  ++ (if test ? testScript then [ ] else [ "no `testScript`; add the key `testScript`, such as `testScript = \"start_all()\"`" ])
  ++ concatMap key (attrNames test)
  ++ name (test.name or null)
  ++ script (test.testScript or null)
  ++ map (name: "machine ${quote name} is both in `containers` and in `nodes`; rename one of them") (
    attrNames (builtins.intersectAttrs containers nodes)
  )
  ++ (
    if count > 254 then
      [ "${toString count} machines, but a VLAN has addresses for no more than 254; use fewer machines" ]
    else
      [ ]
  )
  ++ concatMap (name: machine distribution "containers" name containers.${name}) (attrNames containers)
  ++ concatMap (name: machine distribution "nodes" name nodes.${name}) (attrNames nodes)
