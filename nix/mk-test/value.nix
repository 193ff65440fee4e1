# The kinds of values that a test has. `wrong VALUE` is a list of texts, `json VALUE` what becomes of the value in the test file.
let
  inherit (builtins)
    appendContext
    attrNames
    concatMap
    elem
    elemAt
    filter
    hasContext
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    match
    pathExists
    storeDir
    substring
    stringLength
    ;

  quote = text: "`${text}`";
  list = names: builtins.concatStringsSep ", " (map quote names);

  found =
    value:
    {
      bool = "a truth value";
      float = "a number";
      int = "a whole number";
      lambda = "a function";
      list = "a list";
      null = "null";
      path = "a path";
      set = "a set";
      string = "a string";
    }
    .${builtins.typeOf value};

  isPackage = value: isAttrs value && value ? outPath;
  # What can be a string: of sets only packages can.
  isText = value: isString value || isPath value || isPackage value;

  # The store path that a text begins with, or null.
  storePath =
    text:
    let
      below = stringLength storeDir + 1;
      parts = match "([^/]+)(/.*)?" (substring below (-1) text);
    in
    if substring 0 below text == "${storeDir}/" && parts != null then "${storeDir}/${elemAt parts 0}" else null;

  # A text that names what is in the store, with the context that has Nix bring it into the sandbox. A path elsewhere is copied to the
  # store.
  inStore =
    value:
    let
      text = if isPath value then toString value else "${value}";
      bare = builtins.unsafeDiscardStringContext text;
      whole = storePath bare;
    in
    if isPath value && bare != whole then
      "${value}"
    else if hasContext text || whole == null then
      text
    else
      appendContext bare { ${whole}.path = true; };

  asText = value: if isPath value then inStore value else "${value}";

  # The kind of what satisfies a predicate and goes to the test file as it is.
  plain = expected: fits: {
    wrong = value: if fits value then [ ] else [ "expected ${expected}, found ${found value}" ];
    json = value: value;
  };

  listOf = expected: item: {
    wrong =
      value:
      if !isList value then
        [ "expected ${expected}, found ${found value}" ]
      else
        concatMap item.wrong value;
    json = map item.json;
  };

  cure = "give a package, a path of the store, or a path without quotes, which is copied there";

  # Something in the store, or to be copied there.
  file = expected: {
    wrong =
      value:
      if !isText value then
        [ "expected ${expected}, found ${found value}" ]
      else if isPath value && !pathExists value then
        [ "${quote (toString value)} does not exist" ]
      else if isString value && !hasContext value && storePath value == null then
        [ "${quote value} is not in the store, where the sandbox could see it; ${cure}" ]
      else
        [ ];
    json = inStore;
  };

  # A text may have paths of the store in it, which Nix knows if they come from packages.
  text = expected: plain expected isText // { json = asText; };
  size = "a number of MiB or a size such as `\"2G\"`";
  isSize = value: isInt value || (isString value && match "[0-9.]+[A-Za-z]*" value != null);
in
{
  inherit
    cure
    file
    found
    inStore
    list
    plain
    quote
    text
    ;

  bool = plain "true or false" isBool;
  number = plain "a whole number" isInt;
  string = plain "a string" isString;
  attrs = plain "a set" isAttrs;
  duration = plain "seconds or a time such as `\"5m\"`" (value: isInt value || isFloat value || isString value);
  memory = plain size (value: isInt value || isString value);

  word = words: {
    wrong =
      value:
      if elem value words then
        [ ]
      else
        [ "expected one of ${list words}, found ${if isString value then quote value else found value}" ];
    json = value: value;
  };

  texts = example: listOf "a list of strings such as `${example}`" (text "a list of strings such as `${example}`");

  vlans = listOf "a list of whole numbers such as `[ 1 2 ]`" {
    wrong =
      value:
      if !isInt value then
        [ "expected whole numbers in the list, found ${found value}" ]
      else if value < 1 || value > 255 then
        [ "${toString value} is no VLAN; use numbers from 1 to 255" ]
      else
        [ ];
    json = value: value;
  };

  disks =
    let
      image = file "a list of sizes such as `\"10G\"` and disk images";
    in
    listOf "a list of sizes and disk images" {
      wrong = value: if isSize value then [ ] else image.wrong value;
      json = value: if isSize value then value else image.json value;
    };

  # Variables of an environment.
  env = {
    wrong =
      value:
      if !isAttrs value || isPackage value then
        [ "expected a set of strings, found ${found value}" ]
      else
        map (name: "variable ${quote name}: expected a string, found ${found value.${name}}") (
          filter (name: !isText value.${name}) (attrNames value)
        );
    json = builtins.mapAttrs (_: asText);
  };

  features = {
    wrong =
      value:
      if !isAttrs value then
        [ "expected a set of truth values, found ${found value}" ]
      else
        map (name: "feature ${quote name}: expected true or false, found ${found value.${name}}") (
          filter (name: !isBool value.${name}) (attrNames value)
        );
    json = value: value;
  };
}
