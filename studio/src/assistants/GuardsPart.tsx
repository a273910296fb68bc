import { useText } from "../i18n";
import { isOn, withGuard, withOption } from "./fields";
import { CheckField, Faults, OptionFields } from "./inputs";
import type { PartProps } from "./RecipeForm";

/** What is looked at on its way in and out. */
export function GuardsPart({ fields, choices, onFields }: PartProps) {
  const text = useText();
  const words = text.assistants;
  const guards = fields.guards ?? {};
  return (
    <section>
      <h2>{words.guards}</h2>
      <CheckField
        label={words.standard}
        value={guards["standard"] === true}
        onValue={(on) => onFields({ guards: withOption(guards, "standard", on || undefined) })}
      />
      <Faults place="guards.standard" />
      <ul className="tools">
        {choices.guards.map((guard) => {
          const said = guards[guard.name];
          const on = isOn(guards, guard.name, guard.standard);
          return (
            <li key={guard.name}>
              <CheckField
                label={
                  <>
                    <span translate="no">{guard.name}</span>{" "}
                    <span className="small soft" lang="en">
                      {guard.about}
                    </span>
                  </>
                }
                value={on}
                onValue={(next) =>
                  onFields({ guards: withGuard(guards, guard.name, guard.standard, next) })
                }
              />
              {on && guard.options.length > 0 ? (
                <details className="tool-details">
                  <summary className="small">{words.options}</summary>
                  <div className="pair">
                    <OptionFields
                      known={Object.fromEntries(guard.options.map((name) => [name, undefined]))}
                      values={isOptions(said) ? said : {}}
                      onValue={(name, value) => {
                        const options = withOption(isOptions(said) ? said : {}, name, value);
                        const none = Object.keys(options).length === 0;
                        onFields({ guards: { ...guards, [guard.name]: none ? true : options } });
                      }}
                    />
                  </div>
                </details>
              ) : null}
              <Faults place={`guards.${guard.name}`} />
            </li>
          );
        })}
      </ul>
      <Faults place="guards" />
    </section>
  );
}

function isOptions(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
