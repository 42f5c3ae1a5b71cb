// deno-lint-ignore-file urunc/one-architecture
/** Names of functions that a start calls, by their modules: written by `deno task early`. */
export const EARLY_FUNCTIONS: Readonly<Record<string, string>> = {
  "ffi/constants/_table.ts": "table",
  "ffi/errors.ts": "checked lastErrno openErrno retried unlessItWaits",
  "ffi/linux/bpf.ts": "aligned allocateAttributes bpf2 bpfProgLoad setName",
  "ffi/linux/credentials.ts":
    "capabilityHeader capset2 getrlimit keyctlJoinSessionKeyring prctl2 seccompSetModeFilter setgroups2 setresgid2 setresuid2 setrlimit",
  "ffi/linux/descriptors.ts":
    "addSeals close2 closeInBackground closeRange copyFile dup22 flock2 flockAsync ioctl2 lseek2 memfdCreate open2 openat22 openat3 read2 readAsync setCloexec setNonblock tryWriteAsync write2 writeAll",
  "ffi/linux/epoll.ts": "control epollAdd epollCreate epollRemove epollWaitAsync eventfd2",
  "ffi/linux/files.ts":
    "chdir2 fchdir2 fchmod2 fchownat2 fstat getxattr2 lstatPath makedev mkdirat2 mknodat2 statAt statPath umask2 unlinkat2",
  "ffi/linux/landlock.ts":
    "landlockAddPath landlockCreateRuleset landlockRestrictSelf landlockVersion",
  "ffi/linux/memory.ts": "mallocTrim",
  "ffi/linux/namespaces.ts":
    "fsconfig2 hex mount2 mountDetached mountSetattr moveMount openTree pivotRoot sethostname2 setns2 umount22 unshare2",
  "ffi/linux/poll.ts": "poll2 pollAsync subject toStructs",
  "ffi/linux/processes.ts": "decodeStatus fexecve2 pidfdOpen setsid2 waitpid2 waitpidAsync",
  "ffi/linux/signals.ts":
    "dropSignalHandlers keepEndedChildren pidfdSendSignal resetSignalHandlers setSignalMask signalAction",
  "ffi/linux/sockets.ts":
    "accept bindUnix connect2 connectUnix listen2 receiveDescriptor recv2 send2 sendDescriptor setsockopt2 socket2 socketpair2 unixAddress",
  "ffi/linux/spawn.ts":
    "addActions freeNumbers refuseTwice setAttributes spawn succeed withFileLimit",
  "ffi/memory.ts": "addressOf allocate cString cStringOrNull cStringVector encodeInto",
  "ffi/structs.ts": "allocateStruct getField getField64 setField structAt",
  "ffi/symbols/_library.ts": "declare functionAddress openLibrary toPointer",
  "lib/arch/machines.ts": "foreign foreignArchitecture",
  "lib/arch/x86_64_kvm_requests.ts": "kvmRequests",
  "lib/arch/x86_64_linux_image.ts": "firstWord readBzImage readBzImageContent",
  "lib/block/device.ts": "readAttribute readBlockDevice",
  "lib/block/mount_of.ts": "mountAt",
  "lib/block/root_disk.ts": "findRootDisk",
  "lib/cgroups/cgroup.ts": "endTogether makeCgroup planCgroup",
  "lib/cgroups/common.ts": "leavesOf",
  "lib/cgroups/directories.ts":
    "ancestors childrenOf delegate delegatedControllers hierarchiesOf inheritCpuset make makeDirectories makeDirectory removeCgroup removeLeaf requireUnused surveyDirectories usedBy",
  "lib/cgroups/freezer.ts":
    "findFreezer freezeWithin freezerV1 isFrozen isIn thawCgroup tryFreeze write",
  "lib/cgroups/layout.ts": "parseCgroupLayout parseControllerNames readCgroupLayout",
  "lib/cgroups/membership.ts": "missedDirectories pathOf requireMember",
  "lib/cgroups/plan.ts":
    "below deviceCgroup locateCgroup offersController pathBelowMount placeCgroup v1Directory",
  "lib/cgroups/prepare_move.ts": "prepareMove writeTo",
  "lib/cgroups/processes.ts": "joinCgroup killAll killAtOnce killCgroup signalInBatches",
  "lib/cgroups/resources/blockio.ts": "blockIOWrites writesV1",
  "lib/cgroups/resources/hugetlb.ts": "hugetlbWrites",
  "lib/cgroups/resources/resources.ts":
    "applyResources checkSwap planResources refuseUnsupported writeIfThere",
  "lib/cgroups/resources/v1.ts": "writesV1",
  "lib/cgroups/writes.ts": "digits isRequest processLimit",
  "lib/cli/command_line.ts": "runCommandLine show",
  "lib/cli/context.ts": "makeContext",
  "lib/cli/dispatch.ts": "dispatch fail kernel loggerOf runCommand",
  "lib/cli/exec_process.ts": "capabilitiesOf processOf userOf",
  "lib/cli/ordinary.ts":
    "delegatedDirectory findVerb handOver handOverCreation isOrdinary takesValue",
  "lib/cli/parser/parse.ts": "assignPositionals isVerb parseCommandLine parseGlobals",
  "lib/cli/pid_file.ts": "renameOrRemove writePidFile",
  "lib/cli/refused.ts": "isRefusedVerb",
  "lib/cli/verbs/create.ts":
    "absolute create createAndRecord creationOf inUserNamespace refuseUnsupported requireRoot",
  "lib/cli/verbs/delete.ts": "remove",
  "lib/cli/verbs/exec.ts": "exec follow readProcess recordPid refusePreservedFds",
  "lib/cli/verbs/kernel.ts": "add argumentOf kernel",
  "lib/cli/verbs/kill.ts": "kill",
  "lib/cli/verbs/run.ts": "forwardSignals remove run",
  "lib/cli/verbs/start.ts": "start",
  "lib/cli/verbs/state.ts": "formatState withMonitor",
  "lib/config/capabilities.ts": "capabilityNumber",
  "lib/config/go_urunc.ts":
    "adoptGoUrunc adoptMonitor adoptMonitors isTable usesVhost withOld without",
  "lib/config/parse.ts":
    "choice defaultConfiguration formed parseConfiguration parseToml readConfiguration readFirmware readKey readKeys readMonitors readTables refuseOthers requireFileIds requireRange",
  "lib/config/pattern.ts": "matchesPattern",
  "lib/container/console.ts":
    "endsInSerialLine isOnSerialLine lastBytes positionOf readFrom readStable",
  "lib/container/create.ts":
    "checkSpec claimHostId commandSteps createContainer createIn dryDirectory expectedUserNamespace initialState isWritten launch launchInput lockNew planDry planFreeCgroup proveProcess readyRoot requireNoOtherGuest requireOwnNetwork requireStarted save withSpec",
  "lib/container/delete.ts":
    "deleteContainer forceDelete killFirst lockIfThere readAnyState readOwnState removeNetwork requireStopped",
  "lib/container/exec.ts":
    "differencesOf execInContainer identityOf requireAgent requireIdentity requireRunning requireSize requireStarted startRelay",
  "lib/container/exec_port.ts": "addIfMissing portsIn takeExecPort tryPort",
  "lib/container/handshake.ts": "expect receive",
  "lib/container/id.ts": "objection validateId",
  "lib/container/joined_namespaces.ts":
    "refuseOwnNamespaces requireMountNamespace withJoinedMappings",
  "lib/container/kill.ts":
    "endContainer killContainer killOpened killProcess numberOf openProcess signalProcess waitForExit",
  "lib/container/monitor_process.ts":
    "childrenOf fileServerPid isFileServer monitorPid onlyChild readLinkIfThere",
  "lib/container/observe.ts": "observeContainer",
  "lib/container/pause.ts": "containerStatus",
  "lib/container/prepare.ts":
    "addRoot addRootDisk addSharedMounts decodeText disksOf prepare readBundle refreshNames requireNotHosts sourceFrom userOf",
  "lib/container/proof.ts":
    "differentNamespaces differentProfile differentUserNamespace expectedOf namespaceOf ownNamespaces provenState readProof waitForExec withoutGivenUp",
  "lib/container/require.ts": "requireState",
  "lib/container/start.ts":
    "beganOf connectBefore execAndProve execTitle fileServerWithoutCapability letExec lockCreated proveAfterExec proveProcess readAnswer readOrKill requireCreated startContainer waitingFileServer waitingMonitor warnOfNetwork withStart",
  "lib/container/state.ts": "formatState ociState parseState readState withIdentity",
  "lib/container/status.ts": "computeStatus",
  "lib/container/timeline.ts": "courseOf processAge",
  "lib/decode/decode.ts": "absolutePath boolean environmentEntry nonEmptyText oneOf",
  "lib/entry.ts": "runMain",
  "lib/errors.ts": "errorMessage formatError",
  "lib/guest/disks.ts": "mountPointOf",
  "lib/guest/families/arguments.ts": "argumentsOf",
  "lib/guest/families/hostname.ts": "checkHostname",
  "lib/guest/families/linux_process.ts": "agentRootOf argumentsOf check nameOf processOf",
  "lib/guest/families/linux_root.ts": "rootOf",
  "lib/guest/families/nameservers.ts": "parseNameservers",
  "lib/guest/families/quote.ts": "isSpace quoteArgument splitArguments survives",
  "lib/guest/families/registry.ts": "guestOf guestTypes",
  "lib/guest/initrd/cpio.ts": "archive entryParts padding",
  "lib/guest/initrd/format.ts": "isInitramfs",
  "lib/guest/initrd/network.ts":
    "addressRequests familyRequests isNear networkFile renamed routeRequests",
  "lib/guest/initrd/process.ts": "processFile rootRecord volumeDirectory",
  "lib/guest/initrd/segment.ts":
    "agentFiles filterFile initrdSegment nameLine segmentBytes strings",
  "lib/guest/kernel/elf.ts":
    "findMultiboot padded programHeader programHeaders readElf readNotes viewOf",
  "lib/guest/kernel/format.ts": "readKernelFormat textOf",
  "lib/guest/kernel/solo5.ts": "readManifest readSolo5 viewOf",
  "lib/guest/parse.ts":
    "absolute decodeAll disks isKey isUnikernel parseUnikernel parseUruncJson required sharing supported supportedPair withKernel",
  "lib/guest/pod.ts": "describedInstead ownAnnotations",
  "lib/guest/value.ts": "decodeBase64 decodeValue word",
  "lib/hooks.ts": "runEveryHook runHooksAsync",
  "lib/host/access.ts": "isMember mayAccess overridesPermissions",
  "lib/host/apparmor.ts": "apparmorEnabled",
  "lib/host/binaries.ts":
    "configuredBinary dataPath findFirmware findMonitor inDataPaths isExecutableFile requireAbsolute searchMonitor statIfThere",
  "lib/host/configuration.ts": "loadConfiguration readConfigurationText",
  "lib/host/devices.ts": "readDevice",
  "lib/host/file_server.ts": "findFileServer isFile",
  "lib/host/identity.ts":
    "capabilitySet compareFilters compareIdentity formatIdentity hex ownSeccompFilters parseIdentity readIdentity sortedSet",
  "lib/host/interpreter.ts": "isElf readAt readInterpreter textOf",
  "lib/host/kvm.ts": "createMachine probeKvm probeOpen",
  "lib/host/libraries.ts":
    "findLibraries isFile keep listLibraries readKept requireProgram resolve stampOf stampsOf",
  "lib/host/mounts.ts": "parseLine parseMountInfo readMounts unescapeOctal",
  "lib/host/named.ts": "guardOf openNamed reopen userMayOpen",
  "lib/host/namespaces.ts": "compareNamespaces readNamespaces",
  "lib/host/processor.ts": "processorVendor",
  "lib/inspect/disks.ts": "deviceDisks volumeDisks",
  "lib/inspect/facts.ts":
    "gatherHostFacts initrdFacts kernelFacts kvmFacts monitorFacts nodeKernelFacts",
  "lib/inspect/image.ts":
    "describe isNamedInImage lookUp openImageFile openImageRoot readImageFile readImageHead readImageParts readWhole refusal statImageFile",
  "lib/inspect/pod.ts": "readPodSysctls",
  "lib/inspect/resolv_conf.ts": "readHosts readMounted readResolvConf readStart",
  "lib/inspect/shared.ts": "sharedMountFacts",
  "lib/inspect/urunc_json.ts": "readUruncJson",
  "lib/kernels/add.ts":
    "addKernel isProgram keep packModules parentName readImage readIndex readModule requireBelow requireDrivers requireWanted unpackKernel",
  "lib/kernels/modules.ts": "chooseModules formatDependencies moduleFile",
  "lib/kernels/record.ts": "formatRecord parseRecord readFile",
  "lib/kernels/unpack.ts": "compressionOf",
  "lib/launch/context.ts": "openedBy",
  "lib/launch/fork.ts": "becomeInit forkInit giveUpDescriptors hasSpoken",
  "lib/launch/init.ts": "hasCreator preloadSteps runInit",
  "lib/launch/perform.ts": "perform performStep tryStep",
  "lib/launch/programs.ts": "makePrograms",
  "lib/launch/sealed_file.ts": "sealedFile",
  "lib/launch/spawn.ts": "connected enterForChildren spawnInit spawnSelf startInit",
  "lib/launch/stdio.ts": "receiveStdio refuseDirectory sendStdio",
  "lib/monitor/checks.ts": "checkCount checkMac checkPath checkTap refuseDescriptors",
  "lib/monitor/qemu/memory.ts": "memoryOverheadBytes translationBufferMiB",
  "lib/monitor/qemu/qmp.ts": "portDevice",
  "lib/monitor/signals.ts": "effectOf numberOf parseSignal requireSignal",
  "lib/network/arrival.ts": "hasAddress",
  "lib/network/choose.ts":
    "bestRoute chooseInterface factsOf isEthernet linkLocalOf metricOf onlyAddressed refusal requireEthernet usableAddresses",
  "lib/network/discover.ts": "foreignIn readNetwork readTables redirectedIn tapsIn",
  "lib/network/filter_program.ts": "add filterProgram linkLocal requireMac requireOneOf",
  "lib/network/forwarding.ts": "file isForwarding",
  "lib/network/link.ts": "findLink keepQuiet linkUp requireLink setAlias setMtu",
  "lib/network/names.ts": "isTapName validateInterfaceName",
  "lib/network/owner.ts": "formatOwner",
  "lib/network/packet_program.ts":
    "addressOnStack call compute copy end exit jump jumpIf jumpUnless load networkOrder read set",
  "lib/network/redirect.ts":
    "attachIngress attachProgram filterGuest ingressOwners ownerOf redirectIngress removeOurs shareIngress",
  "lib/network/share_program.ts": "lookUp shareProgram",
  "lib/network/tap.ts": "attach attachTap createTap linkExists openTun removeStaleTap",
  "lib/oci/annotations.ts": "containerName isOfCrio isOfPod isSandbox",
  "lib/oci/config_json.ts": "configJson",
  "lib/oci/disk_devices.ts": "diskDevices",
  "lib/oci/id_mappings.ts": "checkMappings checkUserNamespace hasUserNamespace userOnHost",
  "lib/oci/init_program.ts": "guestArguments isInitProgram",
  "lib/oci/memory_limits.ts": "lowestMemoryLimit memoryLimits",
  "lib/oci/parse.ts":
    "checkSize decodeSpec parseJson parseSpec readCapabilities readHook readHooks readMount readProcess readRoot readSpec readUser",
  "lib/oci/parse_linux.ts": "readLinux readNamespace",
  "lib/oci/parse_resources.ts":
    "orAny readAccess readBlockIO readDeviceRule readResources readUnified",
  "lib/oci/parse_seccomp.ts": "readArgument readRule readSeccomp",
  "lib/oci/process_limits.ts": "processLimits",
  "lib/oci/processors.ts": "processorLimit quotaOf sizeOfSet",
  "lib/oci/rlimits.ts": "checkRlimits hasLargeRlimit isLarge readRlimit withExactRlimits",
  "lib/oci/unsupported.ts": "diskMounts findUnsupported volumeMounts",
  "lib/oci/validate.ts": "requireNoAgent validate",
  "lib/os/alive.ts": "hasExited isAlive openAlive openIfThere",
  "lib/os/files.ts":
    "isDirectory isSameIdentity isThere readBounded readFileIdentity readIfThere removeIfThere requireOwnDirectory",
  "lib/os/os_error.ts": "isCode isGone osErrorCode",
  "lib/os/path.ts": "baseName lastOtherThanSlash parentPath resolvePath",
  "lib/os/process.ts": "parseProcessStat readOwnProcess readProcessStat",
  "lib/os/programs.ts": "callersFileLimit spawnProgram",
  "lib/os/self.ts": "invokedAs isLinked isShim selfCommand",
  "lib/os/sockets.ts": "bindAt connectAt listenAt through",
  "lib/os/timer.ts": "after delay",
  "lib/output.ts": "print printError printJson",
  "lib/plan/agent.ts":
    "agentBytes agentPorts capabilitiesOf execPort execPortCounts execPortToAdd execSocket filterOf furtherProcess guestDevices handingSocket hasOwnNameServer maskOf mayHaveAgent monitorPorts planAgent portEnds processOf",
  "lib/plan/apparmor.ts": "planAppArmor",
  "lib/plan/credentials.ts":
    "expectedIdentity groupsOf isTooLow openFilesLimit planCredentials requireFiles rlimitsOf umaskOf",
  "lib/plan/devices.ts": "existingTun planDevices planTapDescriptors privateNode usableKvm",
  "lib/plan/disks.ts": "planDisks requireAbilities",
  "lib/plan/file_server.ts":
    "argumentsOf capabilitiesOf fileServerIdentity keyringSteps namespaceSteps planFileServer serverGroups sharedSteps",
  "lib/plan/file_size.ts": "fileSizeLimit",
  "lib/plan/guest_mounts.ts":
    "flagOf flagsOf guestMount guestMounts isKernels isRecursive withOption",
  "lib/plan/guest_size.ts": "memoryInput monitorDefaults vcpusOf",
  "lib/plan/host_ids.ts": "planIds",
  "lib/plan/kernel.ts": "bootMemoryBytes requireBootFiles requireKernel",
  "lib/plan/launch.ts":
    "agentWarnings connectAgent deviceRuleSteps hookSteps mountPointSteps networkOf numbered otherInterfaces planLaunch planStop requireAbilities requireFiles sharedBy withoutDevices",
  "lib/plan/launch_input.ts":
    "acceleratorOf agentOf connected guestInput inputWithoutAgent relaysNames",
  "lib/plan/memory.ts": "bootMiB guestMemoryMiB neededMemoryBytes overheadBytes usableMiB",
  "lib/plan/monitor_input.ts": "memoryFile monitorInputOf monitorNetworks",
  "lib/plan/namespaces.ts":
    "hasOwnNetwork isNew monitorNamespaces namespaceOf newNamespaces planNamespaces planPidNamespace sharesNetwork sharesPids withJoinedHostname",
  "lib/plan/network.ts":
    "agentNetworks furtherGuestBytes guestNetwork interfaceSteps linkLocalOf networkMode onlyFirst outgoingSteps planNetwork takenInterfaces withoutFamily",
  "lib/plan/pod.ts": "podWarnings",
  "lib/plan/policy.ts":
    "isListed planUsers requireAllowedFileServer requireAllowedKey requireAllowedMonitor requireAllowedUser withDefaultUser",
  "lib/plan/processes.ts": "planProcesses requireEnough withStandardLimits",
  "lib/plan/processors.ts": "virtualProcessors",
  "lib/plan/relay.ts": "describeProcess relayArguments",
  "lib/plan/root.ts":
    "bootFilesOf copiedBytes hasInitrd makesInitrd mustBeCopied nodeKernelFiles ownInitrd ownInitrdBytes planRoot readableBy totalSize vsockSteps",
  "lib/plan/root_disk.ts": "planRootDisk",
  "lib/plan/seccomp.ts": "planFilters planRelayFilter",
  "lib/plan/shared_files.ts":
    "copiedVolumesWarnings isBelow isSharedFile planCopiedVolumes planMountPoints planSharedFiles requireSharing rootTree sharedFilesWarnings",
  "lib/plan/solo5.ts":
    "checkSolo5CommandLine declaredDevices diskDevices manifestDevices manifestOf networkDevice requireDeclared",
  "lib/plan/terminal.ts": "planTerminal terminalReceiver",
  "lib/plan/user_namespace.ts": "entering makesPidNamespace openUserNamespace planUserNamespace",
  "lib/plan/waiter.ts": "endWords filterWords monitorArguments waiterArguments watchWords",
  "lib/printable.ts": "formatJson replaceSteering",
  "lib/protocol/bpf/assembler.ts": "assemble distance",
  "lib/protocol/bpf/classic.ts":
    "and answer branch encodeClassic ifAtLeast ifEqual jumpIfEqual loadWord",
  "lib/protocol/netlink/address.ts": "addAddress listAddresses parseAddress",
  "lib/protocol/netlink/ip.ts":
    "addressBytes formatAddress formatInet6 formatMac groupBytes macBytes sharePrefix",
  "lib/protocol/netlink/link.ts":
    "getLink ifinfomsg listLinks parseLink setLinkAlias setLinkMtu setLinkName setLinkUp setLinkWithoutLinkLocal",
  "lib/protocol/netlink/message.ts":
    "align cString decodeAttributes decodeMessages encodeAttributes encodeMessage numberOf textOf u32 viewOf",
  "lib/protocol/netlink/reply.ts": "collect emptyReply parseDone parseError",
  "lib/protocol/netlink/route.ts":
    "addDefaultRoute listRoutes metricAttribute parseDefaultRoutes parseStaticRoute unusualMetric",
  "lib/protocol/netlink/tc.ts":
    "addFilter addIngressQdisc addProgramFilter addRedirectFilter listQdiscs matchAll mirred parseTrafficControl tcmsg",
  "lib/protocol/protobuf/codec.ts":
    "decodeMessage encodeMessage isDefault writeField writeMessage writeRepeated writeValue",
  "lib/protocol/protobuf/schema.ts": "embedded message",
  "lib/protocol/protobuf/well_known.ts": "packAny timestampOf unpackAny",
  "lib/protocol/ttrpc/descriptor.ts": "listenDescriptor",
  "lib/protocol/ttrpc/server.ts": "serve",
  "lib/protocol/ttrpc/transport.ts": "connectUnix",
  "lib/runc/kind.ts": "decided isGuest isGuestByPolicy summarize summarizeBundle",
  "lib/seccomp/assemble.ts": "assembleFilter tableOf",
  "lib/seccomp/calls.ts": "callNumber callNumbers isCall numbersIn",
  "lib/seccomp/filter.ts": "programOf",
  "lib/seccomp/numbers.ts": "kvmRequests requests",
  "lib/seccomp/prepared.ts": "preparedKey preparedProgram",
  "lib/seccomp/profile.ts":
    "callsCode equal halves hasOneTwice inTurn isLenient profileFilter programOf resultOf ruleCode rulesByNumber testsOf",
  "lib/seccomp/program.ts":
    "allOf among byNumber condition filterProgram oneOf ranges resultsOf search",
  "lib/seccomp/rules.ts": "joined rulesOf",
  "lib/shim/command/arguments.ts": "isAction isFlag isText parseShimArguments toAction",
  "lib/shim/command/main.ts": "perform runShim",
  "lib/shim/command/record.ts": "removeRecord writeRecord",
  "lib/shim/daemon/daemon.ts":
    "becomeDaemon makeForwarder makePublisher mapValues runStartedDaemon",
  "lib/shim/daemon/shim_cgroup.ts": "joinShimCgroup optionsIn readAll",
  "lib/shim/events/forward.ts": "ttrpcForwarder",
  "lib/shim/rootfs/mapped.ts": "removeMappedLayers",
  "lib/shim/rootfs/mount_options.ts": "isMapping parseMountOptions",
  "lib/shim/rootfs/rootfs.ts":
    "atTarget isMeantReadOnly isOfDirectories isOverlay isReadOnly layersOf makeDirectory mapsFor mountAll mountOne mountPlain mountRootfs optionsFor remountRootfs unmountRootfs",
  "lib/shim/stdio/streams.ts":
    "awaitReaders closingOnError isCopied isFifo isFifoPath isLoggingProgram logPath openIfRead openInput openOutput opening",
  "lib/shim/stdio/task_stdio.ts": "openStdio",
  "lib/shim/task/factory.ts": "create removeBundleState taskFactory",
  "lib/shim/task/options.ts": "decodeOptions",
  "lib/version.ts": "versionInfo versionText",
  "lib/watch.ts": "debug isWatched roundTo2 since timed",
  "smol-toml": "extractValue parse parseArray parseKey parseString peekTable skipVoid",
};
