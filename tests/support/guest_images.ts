/** Images of guests, for tests that run containers of them. */
import { debianKernel, guestKernel, type InitrdOptions, makeLinuxInitrd } from "./fixtures.ts";
import type { ImageFile } from "./image.ts";
import type { Scope } from "./scope.ts";

/** The image's description of its guest, in the older form: values in base64. */
export function uruncJson(values: Record<string, string>): string {
  return JSON.stringify(Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`com.urunc.unikernel.${key}`, btoa(value)]),
  ));
}

/**
 * The fixture guest and its description.
 *
 * @param values more of the description
 */
export function guestImage(
  accelerator: "kvm" | "tcg",
  values: Record<string, string> = {},
): ImageFile[] {
  return [
    { path: "/unikernel/guest.elf", source: guestKernel },
    {
      path: "/urunc.json",
      content: uruncJson({
        unikernelType: "elf",
        hypervisor: "qemu",
        binary: "/unikernel/guest.elf",
        accelerator,
        ...values,
      }),
    },
  ];
}

/**
 * A kernel of Debian's, what its initial RAM disk does, and its description.
 *
 * @param values more of the description
 */
export async function linuxImage(
  scope: Scope,
  accelerator: "kvm" | "tcg",
  initrdOptions: InitrdOptions,
  values: Record<string, string> = {},
): Promise<ImageFile[]> {
  const initrd = await makeLinuxInitrd({ line: "the guest is up", ...initrdOptions });
  scope.defer("remove the initrd", () => initrd.cleanup());
  return [
    { path: "/unikernel/vmlinuz", source: await debianKernel(initrdOptions.kernel) },
    { path: "/unikernel/initrd", source: initrd.path },
    {
      path: "/urunc.json",
      content: uruncJson({
        unikernelType: "linux",
        hypervisor: "qemu",
        binary: "/unikernel/vmlinuz",
        initrd: "/unikernel/initrd",
        accelerator,
        ...values,
      }),
    },
  ];
}
