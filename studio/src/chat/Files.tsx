import type { Attached } from "../conversation/types";
import { useLanguage } from "../i18n";
import { bytes } from "../i18n/format";
import { FileIcon } from "../ui/icons";

/** The files beside a message. The server gives them to be saved, never to be shown as a page. */
export function Files({ files }: { files: readonly Attached[] }) {
  const language = useLanguage();
  if (files.length === 0) return null;
  return (
    <ul className="files">
      {files.map(({ id, name, size }) => (
        <li key={id}>
          <a className="file" href={`/studio/api/attachments/${id}`} download={name}>
            <FileIcon size={16} />
            <bdi translate="no">{name}</bdi>
            <span className="soft">{bytes(language, size)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
