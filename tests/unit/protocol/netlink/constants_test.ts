import assert from "node:assert/strict";
import * as constants from "../../../../lib/protocol/netlink/constants.ts";
import { NLA_HDRLEN, NLMSG_HDRLEN } from "../../../../lib/protocol/netlink/message.ts";
import { Scope } from "../../../support/scope.ts";
import { testIf } from "../../../support/skip.ts";

const HEADERS = [
  "linux/bpf.h",
  "linux/icmp.h",
  "linux/icmpv6.h",
  "linux/if_packet.h",
  "linux/in.h",
  "linux/in6.h",
  "linux/ip.h",
  "linux/ipv6.h",
  "linux/netfilter.h",
  "linux/netfilter/nf_tables.h",
  "linux/netfilter/nfnetlink.h",
  "linux/netfilter_ipv4.h",
  "linux/netlink.h",
  "linux/rtnetlink.h",
  "linux/if.h",
  "linux/if_addr.h",
  "linux/if_arp.h",
  "linux/if_ether.h",
  "linux/if_link.h",
  "linux/if_tun.h",
  "linux/pkt_cls.h",
  "linux/pkt_sched.h",
  "linux/tc_act/tc_mirred.h",
  "stddef.h",
  "stdio.h",
  "sys/ioctl.h",
  "sys/socket.h",
];

/** Under which C expression a constant is found, where that is not its own name. */
const EXPRESSIONS: Record<string, string> = {
  // An int in C, of which types have 16 bits.
  NLA_TYPE_MASK: "(NLA_TYPE_MASK & 0xffff)",
  TC_H_INGRESS_HANDLE: "TC_H_MAKE(TC_H_INGRESS, 0)",
};

/** The layouts that lib/network writes and reads by offset. */
const LAYOUTS: Record<string, number> = {
  "sizeof(struct nlmsghdr)": NLMSG_HDRLEN,
  "sizeof(struct nlattr)": NLA_HDRLEN,
  "offsetof(struct nlmsghdr, nlmsg_type)": 4,
  "offsetof(struct nlmsghdr, nlmsg_flags)": 6,
  "offsetof(struct nlmsghdr, nlmsg_seq)": 8,
  "offsetof(struct nlmsghdr, nlmsg_pid)": 12,
  "offsetof(struct nlmsgerr, msg)": 4,
  "sizeof(struct sockaddr_nl)": 12,
  "sizeof(struct ifinfomsg)": 16,
  "offsetof(struct ifinfomsg, ifi_type)": 2,
  "offsetof(struct ifinfomsg, ifi_index)": 4,
  "offsetof(struct ifinfomsg, ifi_flags)": 8,
  "offsetof(struct ifinfomsg, ifi_change)": 12,
  "sizeof(struct ifaddrmsg)": 8,
  "offsetof(struct ifaddrmsg, ifa_prefixlen)": 1,
  "offsetof(struct ifaddrmsg, ifa_flags)": 2,
  "offsetof(struct ifaddrmsg, ifa_scope)": 3,
  "offsetof(struct ifaddrmsg, ifa_index)": 4,
  "sizeof(struct rtmsg)": 12,
  "offsetof(struct rtmsg, rtm_dst_len)": 1,
  "offsetof(struct rtmsg, rtm_table)": 4,
  "offsetof(struct rtmsg, rtm_type)": 7,
  "offsetof(struct rtmsg, rtm_flags)": 8,
  "sizeof(struct rtnexthop)": 8,
  "offsetof(struct rtnexthop, rtnh_ifindex)": 4,
  "sizeof(struct tcmsg)": 20,
  "offsetof(struct tcmsg, tcm_ifindex)": 4,
  "offsetof(struct tcmsg, tcm_handle)": 8,
  "offsetof(struct tcmsg, tcm_parent)": 12,
  "offsetof(struct tcmsg, tcm_info)": 16,
  "sizeof(struct tc_u32_sel)": 16,
  "offsetof(struct tc_u32_sel, nkeys)": 2,
  "sizeof(struct tc_u32_key)": 16,
  "sizeof(struct tc_mirred)": 28,
  "offsetof(struct tc_mirred, action)": 8,
  "offsetof(struct tc_mirred, eaction)": 20,
  "offsetof(struct tc_mirred, ifindex)": 24,
  "offsetof(struct __sk_buff, pkt_type)": 4,
  "offsetof(struct __sk_buff, protocol)": 16,
  "offsetof(struct __sk_buff, vlan_present)": 20,
  "offsetof(struct bpf_sock_tuple, ipv4.sport)": 8,
  "sizeof(((struct bpf_sock_tuple *)0)->ipv4)": 12,
  "offsetof(struct bpf_sock_tuple, ipv6.sport)": 32,
  "sizeof(((struct bpf_sock_tuple *)0)->ipv6)": 36,
  "offsetof(struct iphdr, frag_off)": 6,
  "offsetof(struct iphdr, protocol)": 9,
  "offsetof(struct iphdr, saddr)": 12,
  "sizeof(struct ipv6hdr)": 40,
  "offsetof(struct ipv6hdr, nexthdr)": 6,
  "offsetof(struct ipv6hdr, saddr)": 8,
  "sizeof(struct nfgenmsg)": 4,
  "offsetof(struct nfgenmsg, res_id)": 2,
  "sizeof(struct ifreq)": 40,
  "offsetof(struct ifreq, ifr_flags)": 16,
};

testIf("constants and layouts are those of the kernel's headers", { needs: ["gcc"] }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("netlink");
  const expected: Record<string, number> = { ...LAYOUTS };
  for (const [name, value] of Object.entries(constants)) {
    expected[EXPRESSIONS[name] ?? name] = value;
  }

  const source = [
    ...HEADERS.map((header) => `#include <${header}>`),
    "int main(void) {",
    ...Object.keys(expected).map((it) => `printf("%lld\\t%s\\n", (long long)(${it}), "${it}");`),
    "}",
  ];
  await Deno.writeTextFile(`${directory}/values.c`, source.join("\n"));
  const compiled = await new Deno.Command("gcc", {
    args: ["-o", `${directory}/values`, `${directory}/values.c`],
    stderr: "piped",
  }).output();
  assert.ok(compiled.success, new TextDecoder().decode(compiled.stderr));

  const { stdout } = await new Deno.Command(`${directory}/values`).output();
  const actual: Record<string, number> = {};
  for (const line of new TextDecoder().decode(stdout).trim().split("\n")) {
    const [value, expression] = line.split("\t");
    actual[expression!] = Number(value);
  }
  assert.deepEqual(actual, expected);
});
