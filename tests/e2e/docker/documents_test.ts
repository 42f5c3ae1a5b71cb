/** What README and docs show a reader to type does what they say: from their own text. */
import { DOCKER_NEEDS } from "../../support/docker.ts";
import { type DocumentOptions, runDocument } from "../../support/document_session.ts";
import { blocksOf, readDocuments, RUN_DOCUMENTS } from "../../support/documents.ts";
import { debianKernel } from "../../support/fixtures.ts";
import { Scope } from "../../support/scope.ts";
import { type Need, testIf } from "../../support/skip.ts";
import { repositoryDirectory, uruncBinary } from "../../support/urunc.ts";

const documents = readDocuments(repositoryDirectory());

/** What a document's reader has already, and its commands need. */
interface Preparation {
  needs: Need[];
  before?(): Promise<string>;
}

const INSTALLED = async () => `ln -s ${await uruncBinary()} /usr/local/bin/urunc`;

const PREPARATIONS: Record<typeof RUN_DOCUMENTS[number], Preparation> = {
  "README.md": { needs: ["kvm"] },
  "docs/non-root.md": { needs: ["kvm"] },
  "docs/building.md": { needs: ["kvm", "gcc"], before: INSTALLED },
  "docs/images.md": {
    needs: ["busybox", "cpio", "apt-get"],
    // A stock kernel does not boot where KVM itself is emulated.
    before: async () =>
      [
        await INSTALLED(),
        `mkdir -p image /etc/urunc && cp ${await debianKernel()} image/vmlinuz`,
        `echo 'accelerator = "tcg"' >/etc/urunc/config.toml`,
      ].join("\n"),
  },
  "docs/troubleshooting.md": {
    needs: ["kvm"],
    before: async () =>
      `${await INSTALLED()}\ndocker build --tag guest:1 fixtures/guests >/dev/null 2>&1`,
  },
};

for (const document of RUN_DOCUMENTS) {
  const { needs, before } = PREPARATIONS[document];
  testIf(`${document}: every command does what the document says`, {
    needs: [...DOCKER_NEEDS, "bash", "ctr", "qemu-system-x86_64", ...needs],
    timeoutSeconds: 360,
  }, async () => {
    await using scope = new Scope();
    const options: DocumentOptions = before === undefined ? {} : { before: await before() };
    await runDocument(scope, blocksOf(document, documents.get(document)!), options);
  });
}
