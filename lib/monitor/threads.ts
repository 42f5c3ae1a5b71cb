/**
 * What the kernel makes for a virtual machine, and counts in the cgroup of the process that made that: a
 * thread that recovers large pages where processors have a flaw with them (kvm_mmu_post_init_vm(), and
 * cgroup_attach_task_all()). Seen with Linux 6.18: `kvm-nx-lpage-re` in the cgroup's list of tasks.
 */
export const KVM_THREADS = 1;
