/*
 * Loads the interpreter, ld.so, as the kernel does for a file that names one (load_elf_interp in
 * fs/binfmt_elf.c): its segments at an address that the kernel chooses, which the auxiliary vector then contains.
 * Part of stub.c, with the same rules.
 */

/* elf.h: Elf64_Ehdr, Elf64_Phdr */
struct file_header {
  u8 identification[16];
  u16 type, machine;
  u32 version;
  u64 entry, headers, sections;
  u32 flags;
  u16 size, header_size, headers_count, section_size, sections_count, names;
};

struct program_header {
  u32 type, flags;
  u64 offset, address, physical, file_size, memory_size, align;
};

enum { PT_LOAD = 1, PT_INTERP = 3, PF_X = 1, PF_W = 2, PF_R = 4 };
enum { AT_PHDR = 3, AT_BASE = 7, AT_ENTRY = 9 };
enum { MADV_POPULATE_WRITE = 23 };
enum { PAGE = 4096 };

__attribute__((noreturn)) static void refuse_interpreter(const char *reason, i64 error) {
  fail("load /lib64/ld-linux-x86-64.so.2", -1, reason, error < 0 ? error : 0);
}

static u64 map_memory(u64 address, u64 size, i64 protection, i64 flags, i64 fd, u64 offset) {
  i64 mapped = system_call6(SYS_mmap, address, size, protection, flags, fd, offset);
  if (mapped < 0 && mapped > -PAGE) refuse_interpreter("mmap failed", mapped);
  return mapped;
}

static i64 protection_of(u32 flags) {
  return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

/* Maps one segment; what is beyond its part of the file is zero. */
static void map_segment(const struct program_header *segment, u64 base, i64 fd) {
  i64 protection = protection_of(segment->flags);
  u64 start = base + segment->address, first = start & -PAGE;
  u64 file_end = start + segment->file_size, end = start + segment->memory_size;
  u64 file_pages = (file_end + PAGE - 1) & -PAGE;
  if (segment->file_size)
    map_memory(first, file_pages - first, protection, MAP_PRIVATE | MAP_FIXED, fd, segment->offset & -PAGE);
  else file_pages = first;
  if (end <= file_end) return;
  if (segment->file_size)
    for (u8 *at = (u8 *)file_end; at < (u8 *)file_pages; at++) *at = 0;
  if (end > file_pages)
    map_memory(file_pages, end - file_pages, protection, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
}

/*
 * ld.so is about to write to every page of Deno's first writable segment, which has 160,000 relocations:
 * populating it at once costs less than a page fault each. Kernels before 5.14 cannot, which does no harm.
 */
static void populate_relocated(void) {
  const struct program_header *header =
      (const struct program_header *)((const char *)&parameters + parameters.headers);
  u64 base = 0;
  for (u32 i = 0; i < parameters.headers_count; i++, header++) {
    if (header->type == PT_INTERP) base = (u64)&parameters + parameters.interpreter - header->address;
    if (header->type != PT_LOAD || !(header->flags & PF_W)) continue;
    u64 start = (base + header->address) & -PAGE;
    system_call(SYS_madvise, start, base + header->address + header->file_size - start, MADV_POPULATE_WRITE);
    return;
  }
}

/* Updates the auxiliary vector as the kernel would have. Returns the interpreter's entry point. */
static u64 enter_interpreter(u64 *auxv) {
  char start[PAGE] __attribute__((aligned(8)));
  i64 fd = system_call(SYS_open, (i64)&parameters + parameters.interpreter, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) refuse_interpreter("it cannot be opened; urunc needs glibc for x86-64", fd);
  i64 count = system_call(SYS_read, fd, (i64)start, sizeof start);
  const struct file_header *file = (const struct file_header *)start;
  if (count < (i64)sizeof *file || !starts_with(start, "\177ELF") ||
      file->header_size != sizeof(struct program_header) || file->headers > PAGE ||
      file->headers + file->headers_count * sizeof(struct program_header) > (u64)count)
    refuse_interpreter("it is not as expected", count);

  const struct program_header *segments = (const struct program_header *)(start + file->headers);
  u64 size = 0;
  for (u32 i = 0; i < file->headers_count; i++)
    if (segments[i].type == PT_LOAD) size = segments[i].address + segments[i].memory_size;
  /* Reserves one range for all segments, which then replace parts of it. */
  u64 base = map_memory(0, size, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (u32 i = 0; i < file->headers_count; i++)
    if (segments[i].type == PT_LOAD) map_segment(&segments[i], base, fd);
  system_call(SYS_close, fd, 0, 0);

  for (; auxv[0]; auxv += 2) {
    if (auxv[0] == AT_PHDR) auxv[1] = (u64)&parameters + parameters.headers;
    if (auxv[0] == AT_BASE) auxv[1] = base;
    if (auxv[0] == AT_ENTRY) auxv[1] = (u64)&parameters + parameters.entry;
  }
  populate_relocated();
  return base + file->entry;
}
