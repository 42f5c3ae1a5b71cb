/**
 * Names that a Linux kernel on x86 takes from its command line for itself, with `_` for `-`, which
 * it does not distinguish. A variable of such a name would not reach init, and might stop the guest
 * from booting. The names after those of Documentation/admin-guide/kernel-parameters.txt (6.12)
 * that are not bound to another architecture, and `BOOT_IMAGE` and `kexec`, which init/main.c drops.
 *
 * No list is whole: it depends on the guest kernel's configuration. Nearly all the names are in
 * small letters, so that variables in capitals are safe.
 *
 * @see https://docs.kernel.org/admin-guide/kernel-parameters.html
 */
export const KERNEL_PARAMETERS = `
  BOOT_IMAGE accept_memory acpi acpi_apic_instance acpi_backlight acpi_enforce_resources
  acpi_force_32bit_fadt_addr acpi_force_table_verification acpi_irq_balance acpi_irq_isa
  acpi_irq_nobalance acpi_irq_pci acpi_mask_gpe acpi_no_auto_serialize acpi_no_memhotplug
  acpi_no_static_ssdt acpi_no_watchdog acpi_os_name acpi_osi acpi_pm_good acpi_rev_override
  acpi_rsdp acpi_sci acpi_skip_timer_override acpi_sleep acpi_use_timer_override
  acpica_no_return_repair add_efi_memmap agp align_va_addr alloc_snapshot amd_iommu amd_iommu_dump
  amd_iommu_intr amd_prefcore amd_pstate apic apic_extnmi apm apparmor audit audit_backlog_limit
  autoconf bdev_allow_write_mounted bert_disable bgrt_disable blkdevparts boot_delay bootconfig
  ca_keys cachesize cgroup_disable cgroup_favordynmods cgroup_no_v1 checkreqprot clearcpuid
  clk_ignore_unused clock clocksource cma cma_pernuma console console_msg_format consoleblank
  coredump_filter cpcihp_generic cpu_init_udelay crash_kexec_post_notifiers crashkernel
  csdlock_debug debug debug_boot_weak_hash debug_guardpage_minorder debug_locks_verbose
  debug_objects debug_pagealloc debugfs debugpat default_hugepagesz deferred_probe_timeout
  delayacct dhash_entries dis_ucode_ldr disable disable_ipv6 disable_mtrr_cleanup
  disable_mtrr_trim disable_timer_pin_1 dma_debug dma_debug_driver dma_debug_entries
  driver_async_probe dyndbg early_ioremap_debug early_page_ext earlycon earlyprintk edac_report
  edd efi efi_no_storage_paranoia efivar_ssdt ekgdboc elfcorehdr enable_mtrr_cleanup
  enable_timer_pin_1 enforcing erst_disable ether evm fail_make_request fail_page_alloc
  fail_usercopy failslab floppy forcepae fred ftrace ftrace_boot_snapshot ftrace_dump_on_oops
  ftrace_filter ftrace_graph_filter ftrace_graph_max_depth ftrace_graph_notrace ftrace_notrace
  fw_devlink gart_fix_e820 gather_data_sampling gcov_persist gpt hardened_usercopy
  hardlockup_all_cpu_backtrace hashdist hd hest_disable hibernate highmem highres hlt hostname
  hpet hpet_mmap hugepages hugepagesz hugetlb_cma hugetlb_free_vmemmap hung_task_panic hv_nopvspin
  i2c_bus ia32_emulation idle ignore_loglevel ignore_rlimit_data ihash_entries ima_appraise
  ima_appraise_tcb ima_canonical_fmt ima_hash ima_policy ima_tcb ima_template ima_template_fmt
  indirect_target_selection init init_on_alloc init_on_free init_pkru initcall_blacklist
  initcall_debug initramfs_async initramfs_options initrd initrdmem int_pln_enable integrity_audit
  intel_iommu intel_pstate intremap io_delay iomem iommu ip ipcmni_extend irqaffinity irqfixup
  irqpoll isolcpus ivrs_acpihid ivrs_hpet ivrs_ioapic kasan_multi_shot keep_bootcon kernelcore
  kexec kgdbdbgp kgdboc kgdboc_earlycon kgdbwait kmemleak kprobe_event l1d_flush l1tf lapic
  lapic_timer_c2_ok load_ramdisk lockdown log_buf_len loglevel lpj lsm max_loop maxcpus mce md mds
  mem mem_encrypt mem_sleep_default memblock memchunk memhp_default_state memmap
  memory_corruption_check memory_corruption_check_period memory_corruption_check_size memtest
  mfgptfix mitigations mminit_loglevel mmio_stale_data module_blacklist movable_node movablecore
  mtdparts mtrr mtrr_chunk_size mtrr_gran_size mtrr_spare_reg_nr netdev nfsaddrs nfsroot
  nfsrootdebug nmi_watchdog no387 no5lvl no_console_suspend no_debug_objects no_file_caps
  no_hash_pointers no_kvmapf no_kvmclock no_scroll no_steal_acc no_timer_check no_uaccess_flush
  no_vmw_sched_clock noapic noautogroup noefi noexec32 nofsgsbase nofxsr nohibernate nohugeiomap
  nohugevmalloc nohz nohz_full noinitrd nointremap noinvpcid noirqdebug nokaslr nolapic
  nolapic_timer nomce nomfgpt nomodeset nomodule nonmi_ipi nopat nopcid nopku nopti nopv nopvspin
  norandmaps noreplace_smp noresume nosgx nosmap nosmep nosmp nosmt nosoftlockup
  nospec_store_bypass_disable nospectre_bhb nospectre_v1 nospectre_v2 novmcoredd nowatchdog
  nox2apic noxsave noxsaveopt noxsaves nr_cpus numa numa_balancing numa_cma numa_zonelist_order
  ohci1394_dma oops page_owner page_poison panic panic_on_taint panic_on_warn panic_print
  pause_on_oops pci pcie_aspm pcie_pme pcie_port_pm pcie_ports pd_ignore_unused percpu_alloc pirq
  pm_debug_messages pmtmr pnp_reserve_dma pnp_reserve_irq pnp_reserve_mem pnpacpi ports
  possible_cpus preempt print_fatal_signals profile prompt_ramdisk psi pti quiet raid ramdisk_size
  ramdisk_start randomize_kstack_offset ras rcu_nocb_poll rcu_nocbs rdinit rdrand rdt reboot
  reg_file_data_sampling regulator_ignore_unused relax_domain_level reserve reserve_mem reservetop
  reset_devices resume resume_offset resumedelay resumewait retain_initrd retbleed ring3mwait ro
  rodata root rootdelay rootflags rootfstype rootwait rproc_mem rw sched_thermal_decay_shift
  sched_verbose schedstats security selinux sev show_lapic skew_tick slab_debug slab_max_order
  slab_merge slab_min_objects slab_min_order slab_nomerge softlockup_all_cpu_backtrace
  softlockup_panic spec_rstack_overflow spec_store_bypass_disable spectre_bhi spectre_v2
  spectre_v2_user split_lock_detect srbds stack_depot_disable stack_guard_gap stacktrace
  stacktrace_filter swiotlb sysrq_always_enabled tcpmhash_entries test_suspend thash_entries
  thp_anon threadirqs tp_printk tp_printk_stop_on_boot tpm_suspend_pcr trace_buf_size trace_clock
  trace_event trace_instance trace_options trace_trigger traceoff_on_warning transparent_hugepage
  tsa tsc tsc_early_khz tsx tsx_async_abort uhash_entries unknown_nmi_panic unwind_debug vdso
  vdso32 vga video vm_debug vmalloc vmscape vsyscall watchdog watchdog_thresh x2apic_phys
  xen_512gb_limit xen_emul_unplug xen_legacy_crash xen_mc_debug xen_msr_safe
  xen_no_vector_callback xen_nopv xen_scrub_pages xen_timer_slop
`;
