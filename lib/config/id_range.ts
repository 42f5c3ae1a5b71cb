/** Numbers of users, and of groups, from the first to the last. */
export interface IdRange {
  first: number;
  last: number;
}

/**
 * Below are the ids of daemons, users and systemd's DynamicUser, and (uid16_t)-1.
 *
 * @see https://systemd.io/UIDS-GIDS/
 */
const LEAST = 65536;

/** From 2^31 on, programs that take a uid for a signed number err (there, "HIC SUNT LEONES"). */
const MOST = 2 ** 31 - 1;

/** How many ids the files of one container have: those of 16 bits, which images keep to. */
export const FILE_IDS = 65536;

/** What `parseIdRange` takes, for people. */
export const ID_RANGE_FORM = `"START-END", two numbers from ${LEAST} to ${MOST}`;

/**
 * @param text as "2100000000-2100065535"
 * @returns undefined when it is anything else than two numbers in order, in their limits
 */
export function parseIdRange(text: string): IdRange | undefined {
  const [, first, last] = /^(\d{1,10})-(\d{1,10})$/.exec(text)?.map(Number) ?? [];
  if (first === undefined || last === undefined) return undefined;
  return LEAST <= first && first <= last && last <= MOST ? { first, last } : undefined;
}
