import {
  AF_INET,
  AF_UNSPEC,
  IFNAMSIZ,
  NF_INET_POST_ROUTING,
  NF_IP_PRI_NAT_SRC,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NFT_CMP_EQ,
  NFT_META_OIFNAME,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWTABLE,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_REG_1,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_CMP_DATA,
  NFTA_CMP_OP,
  NFTA_CMP_SREG,
  NFTA_DATA_VALUE,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_LIST_ELEM,
  NFTA_META_DREG,
  NFTA_META_KEY,
  NFTA_PAYLOAD_BASE,
  NFTA_PAYLOAD_DREG,
  NFTA_PAYLOAD_LEN,
  NFTA_PAYLOAD_OFFSET,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_TABLE,
  NFTA_TABLE_NAME,
  NLM_F_CREATE,
} from "./constants.ts";
import { addressBytes } from "./ip.ts";
import { type Attribute, be32, cString } from "./message.ts";
import type { Request } from "./request.ts";

/** Where the source address stands in struct iphdr (linux/ip.h). Bytes. */
const SADDR = 12;

/** Lays out `struct nfgenmsg`: u8 family, u8 version 0, be16 resource (of a batch: the subsystem). */
function nfgenmsg(family: number, resource = 0): Uint8Array {
  return new Uint8Array([family, 0, resource >> 8, resource & 0xff]);
}

function request(message: number, attributes: Attribute[], flags = 0): Request {
  const type = NFNL_SUBSYS_NFTABLES << 8 | message;
  return { type, flags, payload: nfgenmsg(AF_INET), attributes };
}

/** @returns the requests as one transaction: all of them are carried out, or none */
export function transaction(requests: Request[]): Request[] {
  const payload = nfgenmsg(AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  return [
    { type: NFNL_MSG_BATCH_BEGIN, payload },
    ...requests,
    { type: NFNL_MSG_BATCH_END, payload },
  ];
}

/** Makes a table for IPv4; one that is there stays. */
export function addTable(table: string): Request {
  return request(
    NFT_MSG_NEWTABLE,
    [{ type: NFTA_TABLE_NAME, value: cString(table) }],
    NLM_F_CREATE,
  );
}

/** Removes a table with all that is in it; ENOENT when it does not exist. */
export function deleteTable(table: string): Request {
  return request(NFT_MSG_DELTABLE, [{ type: NFTA_TABLE_NAME, value: cString(table) }]);
}

/** Makes a chain that sees the first packet of every connection that leaves, after routing. */
export function addSourceChain(table: string, chain: string): Request {
  return request(NFT_MSG_NEWCHAIN, [
    { type: NFTA_CHAIN_TABLE, value: cString(table) },
    { type: NFTA_CHAIN_NAME, value: cString(chain) },
    { type: NFTA_CHAIN_TYPE, value: cString("nat") },
    {
      type: NFTA_CHAIN_HOOK,
      value: [
        { type: NFTA_HOOK_HOOKNUM, value: be32(NF_INET_POST_ROUTING) },
        { type: NFTA_HOOK_PRIORITY, value: be32(NF_IP_PRI_NAT_SRC) },
      ],
    },
  ], NLM_F_CREATE);
}

/**
 * Has what comes from a subnet and leaves by an interface take that interface's address. As nft(8)
 * says it: `oifname INTERFACE ip saddr SUBNET masquerade`.
 *
 * @param source an address of the subnet, and its prefix length: a multiple of 8 bits
 */
export function addMasquerade(
  { table, chain }: { table: string; chain: string },
  source: { address: string; prefixLength: number },
  link: string,
): Request {
  const register = { value: be32(NFT_REG_1) };
  const subnet = addressBytes(source.address).slice(0, source.prefixLength / 8);
  const name = new Uint8Array(IFNAMSIZ);
  name.set(cString(link));
  return request(NFT_MSG_NEWRULE, [
    { type: NFTA_RULE_TABLE, value: cString(table) },
    { type: NFTA_RULE_CHAIN, value: cString(chain) },
    {
      type: NFTA_RULE_EXPRESSIONS,
      value: [
        expression("meta", [
          { type: NFTA_META_KEY, value: be32(NFT_META_OIFNAME) },
          { type: NFTA_META_DREG, ...register },
        ]),
        equals(name),
        expression("payload", [
          { type: NFTA_PAYLOAD_DREG, ...register },
          { type: NFTA_PAYLOAD_BASE, value: be32(NFT_PAYLOAD_NETWORK_HEADER) },
          { type: NFTA_PAYLOAD_OFFSET, value: be32(SADDR) },
          { type: NFTA_PAYLOAD_LEN, value: be32(subnet.length) },
        ]),
        equals(subnet),
        expression("masq", []),
      ],
    },
  ], NLM_F_CREATE);
}

function equals(bytes: Uint8Array): Attribute {
  return expression("cmp", [
    { type: NFTA_CMP_SREG, value: be32(NFT_REG_1) },
    { type: NFTA_CMP_OP, value: be32(NFT_CMP_EQ) },
    { type: NFTA_CMP_DATA, value: [{ type: NFTA_DATA_VALUE, value: bytes }] },
  ]);
}

function expression(name: string, data: Attribute[]): Attribute {
  return {
    type: NFTA_LIST_ELEM,
    value: [
      { type: NFTA_EXPR_NAME, value: cString(name) },
      { type: NFTA_EXPR_DATA, value: data },
    ],
  };
}
