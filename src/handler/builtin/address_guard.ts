/**
 * Which addresses a web request must not reach: whoever may publish a task could otherwise read the credentials
 * that clouds hand out on link-local addresses.
 *
 * @module
 */

import ipaddr from "npm:ipaddr.js@2.5.0";

/** Thrown inside the web client only, to tell a refusal from a network error. */
export class RefusedAddressError extends Error {
  override readonly name = "RefusedAddressError";
}

const LINK_LOCAL = [ipaddr.parseCIDR("169.254.0.0/16"), ipaddr.parseCIDR("fe80::/10")];

/** Metadata services that clouds put elsewhere: Alibaba; AWS, Google and Oracle over IPv6. */
const METADATA = new Set(
  ["100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"]
    .map((address) => ipaddr.parse(address).toNormalizedString()),
);

/** IPv6 ranges that lead to an IPv4 address, and the byte that it starts at. */
const EMBEDDINGS = [
  { range: ipaddr.parseCIDR("::ffff:0:0/96"), at: 12 }, // IPv4-mapped
  { range: ipaddr.parseCIDR("::ffff:0:0:0/96"), at: 12 }, // IPv4-translated (SIIT)
  { range: ipaddr.parseCIDR("::/96"), at: 12 }, // IPv4-compatible
  { range: ipaddr.parseCIDR("64:ff9b::/96"), at: 12 }, // NAT64
  { range: ipaddr.parseCIDR("64:ff9b:1::/48"), at: 12 }, // NAT64, local use
  { range: ipaddr.parseCIDR("2002::/16"), at: 2 }, // 6to4
];

type Address = ReturnType<typeof ipaddr.parse>;

/**
 * What an address is that must not be reached (`a link-local address`), or undefined when it may be.
 *
 * @param address IPv4 or IPv6, without brackets
 * @throws {Error} for text that is no address
 */
export function refusalOf(address: string): string | undefined {
  const parsed = ipaddr.parse(address);
  return kindOf(parsed) ?? embedded(parsed).map(kindOf).find((kind) => kind !== undefined);
}

function kindOf(address: Address): string | undefined {
  if (LINK_LOCAL.some((range) => within(address, range))) return "a link-local address";
  if (METADATA.has(address.toNormalizedString())) {
    return "a metadata service, refused like a link-local address";
  }
  return undefined;
}

function embedded(address: Address): Address[] {
  const bytes = address.toByteArray();
  return EMBEDDINGS.filter(({ range }) => within(address, range))
    .map(({ at }) => ipaddr.fromByteArray(bytes.slice(at, at + 4)));
}

function within(address: Address, [range, bits]: [Address, number]): boolean {
  return address.kind() === range.kind() && address.match(range, bits);
}
