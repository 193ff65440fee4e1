# What a test and its machines can have. The keys of machines have the names that they have in a test file.
let
  value = import ./value.nix;
  inherit (value)
    attrs
    bool
    disks
    duration
    env
    features
    file
    memory
    number
    string
    text
    texts
    vlans
    word
    ;

  # Each key of the test, as the caller writes it; `key` is its name in the test file, if it goes there.
  test = {
    name = string // {
      key = "name";
    };
    containers = attrs;
    nodes = attrs;
    testScript = value.plain "a string, a path or a function of the machines" (
      script: builtins.isString script || builtins.isPath script || builtins.isFunction script
    );
    requiredFeatures = features;
    globalTimeout = duration // {
      key = "global-timeout";
    };
    bootTimeout = duration // {
      key = "boot-timeout";
    };
    lan = word [ "auto" "bridge" "switch" ] // {
      key = "lan";
    };
    machined = word [ "auto" "never" "require" ] // {
      key = "machined";
    };
    sshBackdoor = bool // {
      key = "ssh-backdoor";
    };
    logLevel = word [ "debug" "info" "warning" "error" ];
    seed = value.plain "a string or a number" (seed: builtins.isString seed || builtins.isInt seed);
    passthru = attrs;
    meta = attrs;
  };

  # Each key of a machine; `only` is the set of machines that alone has it.
  container = kind: kind // { only = "containers"; };
  vm = kind: kind // { only = "nodes"; };
  machine = {
    root = file "a path, a package or a path of the store";
    vlans = vlans;
    units = texts "[ \"nginx.service\" ]";
    env = env;
    devices = container (texts "[ \"/dev/fuse\" ]");
    binds = container (texts "[ \"/srv/data:/data:rw\" ]");
    cpus = vm number;
    memory = vm memory;
    disks = vm disks;
    kernel = vm (file "the path of a kernel in the store");
    initrd = vm (file "the path of an initramfs in the store");
    cmdline = vm (text "one string such as `\"quiet loglevel=3\"`");
    accel = vm (word [ "auto" "kvm" "tcg" ]);
    qemu-args = vm (texts "[ \"-device\" \"virtio-balloon\" ]");
    start-script = file "the path of a program in the store";
  };
in
{
  inherit test machine;
}
