/** Machine code of the fork, lib/build/fork; written by `deno task native`. */
export const FORK: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(`
6YwAAABIi0cQSYn4SDlHCHUuMdJJjXAYMcBIiVcISIs/ugAQAAAPBUiFwH4GSYlAEOsNMcBJiUAQSYlACDHAw0mLQAhI
jVABSYlQCEGKRAAYw0mJ+UUx0kyJz+il////jVDQgPoJdwwPtsBJweIEg+gw6xKNUJ+A+gV3EQ+2wEnB4gSD6FdImEkB
wuvLTInQw0FUuAIAAAC+AAAIADHSVUiJ/UiNPbgAAABTSIHsIBAAAA8Fuv7///9IiUQkCEiFwA+IjQAAADHASI1cJAhI
iUQkGEiJRCQQSInf6HL///9Iid9JicToZ////0mJwUiFwHRLSInf6Ar///9Iid/oAv///0iJ3+j6/v//SInf6PL+//88
cHUVTInOuBwAAAC6CwAAAEyJ50wp5g8FSInf6NH+//88CnSghMB18OuauAMAAABIi3wkCEyJzkyJyg8F/9WJwkiBxCAQ
AACJ0FtdQVzDL3Byb2Mvc2VsZi9tYXBzAA==
`);
