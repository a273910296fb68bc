import { useText } from "../i18n";
import { namedArguments } from "./arrange";
import { Long } from "./Long";

/** What a tool is called with, name by name; as it was written where it is no JSON object. */
export function Arguments({ written }: { written: string }) {
  const text = useText();
  const named = namedArguments(written);
  if (named === null) return <Long text={written} />;
  if (named.length === 0) return <p className="small soft">{text.steps.noArguments}</p>;
  return (
    <dl className="arguments">
      {named.map(([name, value]) => (
        <div key={name}>
          <dt>
            <code translate="no">{name}</code>
          </dt>
          <dd>
            <Long text={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
